package podexec

import (
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// endOf says how the attempt of a Job has ended, and whether it has: by its
// Pod, or by what the Job says where the Pod is gone.
func (s *situation) endOf(j *batchv1.Job) (ended, bool) {
	pod := s.podOf(j)
	if pod != nil && (terminal(pod) || outlived(pod)) {
		e := s.endOfPod(pod)
		e.attempt = attemptOf(j)
		return e, true
	}
	if pod != nil {
		return ended{}, false
	}
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue || c.Type != batchv1.JobComplete && c.Type != batchv1.JobFailed {
			continue
		}
		e := ended{attempt: attemptOf(j), at: c.LastTransitionTime.Time, progress: s.m.last, current: true}
		if c.Type == batchv1.JobFailed || s.m.last.State != download.StateComplete {
			e.failure = download.Fail(download.ReasonWorkerFailed, "Job %s has ended and its Pod is gone (%s); the next one goes on with what is on the volume", j.Name, reasonOf(c.Reason, c.Message))
			s.m.failure = &download.WorkerFailure{Reason: download.ReasonWorkerFailed, Message: e.failure.Message, At: e.at}
		}
		return e, true
	}
	return ended{}, false
}

// endOfPod says how a Pod that has ended did.
func (s *situation) endOfPod(p *corev1.Pod) ended {
	if end := terminated(p); end != nil {
		return s.endOfContainer(p, end)
	}
	e := ended{at: s.now, progress: s.m.last, current: true}
	s.blame(&e, p, podReason(p), p.Status.Message, 0)
	return e
}

// endOfContainer says how a worker has ended, from what it has left behind and
// what the kubelet says.
func (s *situation) endOfContainer(p *corev1.Pod, end *corev1.ContainerStateTerminated) ended {
	e := ended{at: end.FinishedAt.Time, progress: s.m.last, current: true}
	if e.at.IsZero() {
		e.at = s.now
	}
	result, err := report.DecodeResult([]byte(end.Message))
	told := err == nil
	if told {
		e.progress = s.whole(result.Progress)
		if g := s.o.order; g != nil {
			e.current = result.Revision == g.revision()
		}
	}
	switch {
	case end.ExitCode == report.ExitDone && told:
		return e
	case end.ExitCode == report.ExitFailed && told && result.Progress.Err != nil:
		e.failure = result.Progress.Err
		s.m.failure = &download.WorkerFailure{Reason: e.failure.Reason, Message: e.failure.Message, ExitCode: int(end.ExitCode), At: e.at}
		return e
	}
	last := end.Message
	if told {
		last = ""
		if f := result.Progress.Err; f != nil {
			last = f.Message
		}
	}
	reason := podReason(p)
	if reason == "" && end.Reason != "Error" && end.Reason != "Completed" {
		reason = end.Reason
	}
	s.blame(&e, p, reason, last, end.ExitCode)
	return e
}

// whole adds to a result, which has no lists, those that the Pod has told
// before, as far as they are true still.
func (s *situation) whole(p download.Progress) download.Progress {
	last := &s.m.last
	if p.InfoHash == last.InfoHash && p.Selection == last.Selection {
		if p.Pieces.Have == nil && last.Pieces.Verified == p.Pieces.Verified {
			p.Pieces.Have = last.Pieces.Have
		}
		p.Private = p.Private || last.Private
	}
	if p.Pieces.Have == nil && p.Pieces.Verified == p.Pieces.Total {
		p.Pieces.Have = full(p.Pieces.Total)
	}
	return p
}

// maxPieces bounds what is believed of the number of pieces.
const maxPieces = 1 << 25

// full is a bitfield of n bits that are all set.
func full(n int) []byte {
	if n <= 0 || n > maxPieces {
		return nil
	}
	b := make([]byte, (n+7)/8)
	for i := range b {
		b[i] = 0xff
	}
	if spare := len(b)*8 - n; spare > 0 {
		b[len(b)-1] <<= spare
	}
	return b
}

// blame makes a failure that may pass of how a Pod ended, in words for a person.
func (s *situation) blame(e *ended, p *corev1.Pod, reason, message string, code int32) {
	say := func(why, format string, args ...any) { e.failure = download.Fail(why, format, args...) }
	node := p.Spec.NodeName
	switch {
	case reason == download.ReasonOOMKilled:
		say(reason, "Pod %s needed more memory than its limit allows and was killed; raise spec.worker.resources.limits.memory", p.Name)
	case reason == download.ReasonEvicted || reason == "TerminationByKubelet":
		say(download.ReasonEvicted, "Pod %s was evicted from node %s%s; the next one goes on with what is on the volume", p.Name, node, because(message))
	case reason == "PreemptionByScheduler":
		say(download.ReasonPreempted, "Pod %s made room on node %s for one of a higher priority; the next one goes on with what is on the volume, and spec.worker.priorityClassName raises its own", p.Name, node)
	case reason == "EvictionByEvictionAPI":
		say(download.ReasonDrained, "Pod %s was evicted from node %s, which is being drained or cleared; the next one goes on with what is on the volume", p.Name, node)
	case reason == "DeletionByTaintManager" || reason == "DeletionByPodGC" || reason == "NodeLost":
		say(download.ReasonWorkerFailed, "Node %s did not answer any more, and Pod %s was taken away; the next one goes on with what is on the volume", node, p.Name)
	case code == report.ExitOrder:
		say(download.ReasonWorkerFailed, "Pod %s did not understand its order%s; its image is not of the version of the operator", p.Name, because(message))
	case code == report.ExitStopped:
		say(download.ReasonWorkerFailed, "Pod %s was told to stop before it was done; the next one goes on with what is on the volume", p.Name)
	case reason != "":
		say(camel(reason), "Pod %s ended with exit code %d (%s)%s; see its log", p.Name, code, reason, because(message))
	default:
		say(download.ReasonWorkerFailed, "Pod %s ended with exit code %d%s; see its log", p.Name, code, because(message))
	}
	s.m.failure = &download.WorkerFailure{Reason: e.failure.Reason, Message: e.failure.Message, ExitCode: int(code), At: e.at}
}

// podReason is what a Pod itself says of why it had to end, "" if nothing.
func podReason(p *corev1.Pod) string {
	if p.Status.Reason != "" {
		return p.Status.Reason
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return c.Reason
		}
	}
	return ""
}

// terminated is how the worker of a Pod ended, nil if it has not or that is not
// known.
func terminated(p *corev1.Pod) *corev1.ContainerStateTerminated {
	for i := range p.Status.ContainerStatuses {
		if c := &p.Status.ContainerStatuses[i]; c.Name == container {
			return c.State.Terminated
		}
	}
	return nil
}

// outlived says that the worker of a Pod has ended for good, and something else
// in it has not.
func outlived(p *corev1.Pod) bool {
	return terminated(p) != nil && slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Terminated == nil
	})
}

// lastEnd is how the worker of a Pod that restarts it ended last, and how often
// it was begun again.
func lastEnd(p *corev1.Pod) (*corev1.ContainerStateTerminated, int32) {
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		switch {
		case c.Name != container:
		case c.State.Terminated != nil:
			return c.State.Terminated, c.RestartCount + 1
		default:
			return c.LastTerminationState.Terminated, c.RestartCount
		}
	}
	return nil, 0
}

// because quotes a reason in the middle of a sentence.
func because(message string) string {
	message = strings.TrimRight(clip(message), ". \n")
	if message == "" {
		return ""
	}
	return ": " + message
}

func reasonOf(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + clip(message)
}

// clip bounds what is quoted.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxHint {
		s = strings.ToValidUTF8(s[:maxHint], "") + "…"
	}
	return s
}

// camel makes a condition's reason of a Pod's.
func camel(reason string) string {
	var b strings.Builder
	for _, r := range reason {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	if out := b.String(); out != "" && out[0] >= 'A' && out[0] <= 'Z' && len(out) <= 64 {
		return out
	}
	return download.ReasonWorkerFailed
}

// since is how long ago something was, and 0 for a time that is not known.
func since(now, at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return now.Sub(at)
}
