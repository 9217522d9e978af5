//go:build e2e

package pods

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestWhatAJobWritesToAClaimAnotherPodReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claim := w.claim("data", "64Mi")
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "writer", Namespace: w.ns},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To(int32(0)),
			Template:     corev1.PodTemplateSpec{Spec: podSpec("content", "/data", "smoke", "1000000")},
		},
	}
	mountClaim(&job.Spec.Template.Spec, "/data", claim.Name)
	w.create(claim, job)
	await(w, job, "complete", func(j *batchv1.Job) bool { return j.Status.Succeeded == 1 })
	reader := w.pod("reader", "sum", "/data")
	mountClaim(&reader.Spec, "/data", claim.Name)
	w.create(reader)
	local := t.TempDir()
	w.here("content", local, "smoke", "1000000")
	if got, want := w.said(reader), w.here("sum", local); got != want {
		t.Errorf("the claim holds\n%swant\n%s", got, want)
	}
}

func TestAServiceIsReachedByItsNameFromEveryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.pod("server", "serve", ":8080", "hello")
	server.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port(8080)}},
	}
	service := w.service("server", 80, 8080)
	headless := w.service("server-pods", 8080, 8080)
	headless.Spec.Selector, headless.Spec.ClusterIP = service.Spec.Selector, corev1.ClusterIPNone
	w.create(server, service, headless)
	w.awaitRunning(server)
	nodes := &corev1.NodeList{}
	if err := w.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		for name, url := range map[string]string{
			"by-service": "http://server/",
			"by-pod":     "http://server-pods." + w.ns + ".svc:8080/",
		} {
			asker := w.pod(name+"-"+node.Name, "get", url)
			asker.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node.Labels[corev1.LabelHostname]}
			asker.Spec.RestartPolicy = corev1.RestartPolicyOnFailure // kube-proxy takes a moment
			w.create(asker)
			if got := w.said(asker); got != "hello" {
				t.Errorf("%s on %s the server says %q", name, node.Name, got)
			}
		}
	}
}

func TestTheOperatorRunsAsItIsInstalled(t *testing.T) {
	w := newWorld(t)
	await(w, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: system}}, "available", func(d *appsv1.Deployment) bool {
		return d.Status.AvailableReplicas > 0
	})
}

func TestATorrentGoesFromPodToPodByATracker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	torrent := w.torrent("album", 3<<20)
	leech := w.pod("leech", "download", "/torrent/album.torrent", "--output=/data")
	leech.Spec.Containers[0].Image = operatorImage
	mount(&leech.Spec, "/torrent", torrent.volume())
	claim := w.claim("data", "64Mi")
	mountClaim(&leech.Spec, "/data", claim.Name)
	leech.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To(int64(65532))}
	w.create(claim, leech)
	w.said(leech)
	reader := w.pod("reader", "sum", "/data/album")
	mountClaim(&reader.Spec, "/data", claim.Name)
	w.create(reader)
	if got, want := w.said(reader), torrent.sums; got != want {
		t.Errorf("what was downloaded is\n%swant\n%s", got, want)
	}
}
