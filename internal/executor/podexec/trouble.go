package podexec

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// trouble says why a Pod that is to run has not told anything yet, or does not
// any more; nil while that is to be expected.
func (s *situation) trouble(owner client.Object, p *corev1.Pod) *download.Failure {
	switch {
	case p == nil:
		return s.unmade(owner)
	case p.DeletionTimestamp != nil || s.o.silentNodes[p.Spec.NodeName] && p.Spec.NodeName != "":
		return s.ending(p)
	case p.Spec.NodeName == "":
		return s.unscheduled(p)
	}
	if f := s.unstarted(p); f != nil {
		return f
	}
	if p.Status.Phase == corev1.PodRunning {
		if since(s.now, startedAt(p)) <= silence || since(s.now, s.m.listening()) <= silence {
			return nil
		}
		return download.Fail(download.ReasonWorkerSilent,
			"Pod %s runs on node %s and has not reported to %s; it goes on without that, but check that no NetworkPolicy keeps it from the operator, and see its log", p.Name, p.Spec.NodeName, s.endpoint)
	}
	return s.soon("Pod %s is being started on node %s", p.Name, p.Spec.NodeName)
}

// soon says what is going on where the status says nothing of the download yet.
func (s *situation) soon(format string, args ...any) *download.Failure {
	if s.m.last.InfoHash != "" {
		return nil
	}
	return download.Fail(download.ReasonWorkerPending, format, args...)
}

// unmade says why there is no Pod.
func (s *situation) unmade(owner client.Object) *download.Failure {
	hint := s.o.hints[owner.GetUID()]
	switch {
	case strings.Contains(hint, "exceeded quota"):
		return download.Fail(download.ReasonQuotaExceeded, "The namespace has no room for the Pod of %s; raise its ResourceQuota, or ask for less by spec.worker.resources%s", owner.GetName(), because(hint))
	case hint != "":
		return download.Fail(download.ReasonWorkerPending, "The Pod of %s can't be made%s", owner.GetName(), because(hint))
	}
	return s.soon("The Pod of %s is being made", owner.GetName())
}

// unscheduled says why a Pod has no node.
func (s *situation) unscheduled(p *corev1.Pod) *download.Failure {
	if f := s.claimless(); f != nil {
		return f
	}
	for _, c := range p.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		what := "check spec.worker and the nodes"
		switch {
		case strings.Contains(c.Message, "volume node affinity"), strings.Contains(c.Message, "didn't match PersistentVolume's node affinity"):
			what = "the claim's volume belongs to nodes on which the Pod may not run: check spec.worker.nodeSelector, affinity and tolerations"
		case strings.Contains(c.Message, "ReadWriteOncePod"):
			what = "another Pod has the claim, which lets in one at a time"
		case strings.Contains(c.Message, "Insufficient"):
			what = "ask for less by spec.worker.resources, or add nodes"
		}
		return download.Fail(camel(c.Reason), "No node takes Pod %s; %s%s", p.Name, what, because(c.Message))
	}
	return s.soon("Pod %s is being scheduled", p.Name)
}

// claimless says what is wrong with the claim of a Pod that has no node.
func (s *situation) claimless() *download.Failure {
	if s.m.want == nil || s.m.want.ResolveOnly {
		return nil
	}
	name, c := s.m.want.Volume.ClaimName, s.o.claim
	switch {
	case c == nil:
		return download.Fail(download.ReasonClaimNotFound, "There is no PersistentVolumeClaim %s in namespace %s; create it, the download goes on by itself then", name, s.id.Namespace)
	case c.Status.Phase == corev1.ClaimLost:
		return download.Fail(v1alpha1.ReasonClaimLost, "PersistentVolumeClaim %s has lost its volume %s; create the claim again", name, c.Spec.VolumeName)
	case c.Status.Phase == corev1.ClaimPending && since(s.now, c.CreationTimestamp.Time) > patience:
		hint := s.o.hints[c.UID]
		return download.Fail(download.ReasonClaimPending, "PersistentVolumeClaim %s is not bound to a volume yet; check its storage class and that it has room%s", name, because(hint))
	}
	return nil
}

// unstarted says why a Pod that has a node does not run.
func (s *situation) unstarted(p *corev1.Pod) *download.Failure {
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		w := c.State.Waiting
		if c.Name != container || w == nil {
			continue
		}
		switch w.Reason {
		case "", "PodInitializing", "ContainerCreating":
		case "ErrImagePull", "ImagePullBackOff":
			_, cause, _ := strings.Cut(w.Message, "ErrImagePull: ") // Both reasons take turns; what they say is the same.
			if w.Reason == "ErrImagePull" {
				cause = w.Message
			}
			return download.Fail("ImagePullBackOff", "Image %s can't be pulled to node %s; check its name, and spec.worker.imagePullSecrets if the registry wants to know who asks%s", c.Image, p.Spec.NodeName, because(cause))
		case "CrashLoopBackOff":
			return s.crashed(p, c)
		default:
			return download.Fail(camel(w.Reason), "Pod %s can't be started on node %s%s", p.Name, p.Spec.NodeName, because(w.Message))
		}
	}
	if hint := s.o.hints[p.UID]; hint != "" && p.Status.Phase == corev1.PodPending {
		return download.Fail(download.ReasonWorkerPending, "Pod %s can't be started on node %s yet%s", p.Name, p.Spec.NodeName, because(hint))
	}
	return nil
}

// crashed says why a seeder is begun again and again.
func (s *situation) crashed(p *corev1.Pod, c *corev1.ContainerStatus) *download.Failure {
	if end := c.LastTerminationState.Terminated; end != nil {
		if e := s.endOfContainer(p, end); e.failure != nil {
			return e.failure
		}
	}
	return download.Fail(download.ReasonWorkerFailed, "Pod %s ends again and again; see its log", p.Name)
}

// ending says what keeps a Pod that has to be gone before another one begins.
func (s *situation) ending(p *corev1.Pod) *download.Failure {
	return podEnds(s.now, p, p.Spec.NodeName != "" && s.o.silentNodes[p.Spec.NodeName])
}

// puzzling says that a Pod takes so long that it is worth asking why.
func puzzling(now time.Time, p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil && since(now, p.CreationTimestamp.Time) > patience
}

// doubtful says that a Pod is silent or late, so its node may have gone.
func doubtful(now time.Time, p *corev1.Pod, listening time.Time) bool {
	if terminal(p) || p.Spec.NodeName == "" {
		return false
	}
	return overdue(now, p) || p.Status.Phase == corev1.PodRunning && since(now, listening) > silence && since(now, startedAt(p)) > silence
}

func startedAt(p *corev1.Pod) time.Time {
	if p.Status.StartTime == nil {
		return time.Time{}
	}
	return p.Status.StartTime.Time
}
