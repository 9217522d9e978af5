package podexec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// job is the Job that carries out an order once: to try again is decided here,
// not by Kubernetes.
func (c *Config) job(id download.ID, o *order) (*batchv1.Job, error) {
	pod, err := c.pod(id, o)
	if err != nil {
		return nil, err
	}
	j := &batchv1.Job{ObjectMeta: meta(id, jobName(id, o.attempt))}
	if o.task == report.Erase {
		j.Name = eraseName(id)
	} else {
		j.Labels[labelAttempt] = strconv.Itoa(o.attempt)
		pod.Labels[labelAttempt] = j.Labels[labelAttempt]
	}
	j.Labels[labelTask] = string(o.task)
	j.Annotations[annotationRelease] = c.release()
	if claim, mounted := pod.Labels[labelClaim]; mounted { // It may make its Pod when nobody owns it any more.
		j.Labels[labelClaim], j.Annotations[annotationPath] = claim, pod.Annotations[annotationPath]
	}
	j.Spec = batchv1.JobSpec{
		Template: pod, BackoffLimit: ptr.To[int32](0), Completions: ptr.To[int32](1), Parallelism: ptr.To[int32](1),
		PodReplacementPolicy: ptr.To(batchv1.Failed), TTLSecondsAfterFinished: ptr.To[int32](keptSeconds),
	}
	return j, nil
}

// statefulSet is what keeps a seeder running: one Pod, of which the next is
// begun only when the one before is known to be gone.
func (c *Config) statefulSet(id download.ID, o *order) (*appsv1.StatefulSet, error) {
	pod, err := c.pod(id, o)
	if err != nil {
		return nil, err
	}
	set := &appsv1.StatefulSet{ObjectMeta: meta(id, baseName(id))}
	set.Labels[labelTask] = string(o.task)
	set.Annotations[annotationRelease] = c.release()
	set.Spec = appsv1.StatefulSetSpec{
		Replicas: ptr.To[int32](1), Template: pod, RevisionHistoryLimit: ptr.To[int32](1),
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{labelUID: id.UID, labelTask: string(o.task)}},
	}
	return set, nil
}

// release names what is the same in all Pods that this operator makes: an
// operator of another image, or with other defaults or flags for workers, has
// another one.
func (c *Config) release() string {
	b, err := json.Marshal([]any{c.Image, c.PullPolicy, c.Defaults, c.WorkerArgs})
	if err != nil { // All of it was read from text.
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// oneNode says that Pods which mount a claim have to share a node.
func oneNode(c *corev1.PersistentVolumeClaim) bool {
	return c != nil && len(c.Spec.AccessModes) == 1 && c.Spec.AccessModes[0] == corev1.ReadWriteOnce
}

// service leads peers from outside to the worker, whichever Pod that is.
func service(id download.ID, port int, kind string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: meta(id, serviceName(id))}
	s.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceType(kind), Selector: map[string]string{labelUID: id.UID},
		Ports: []corev1.ServicePort{{
			Name: portName, Protocol: corev1.ProtocolTCP, Port: int32(port), TargetPort: intstr.FromString(portName), //nolint:gosec // A port.
		}},
	}
	return s
}
