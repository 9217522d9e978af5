package podexec

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// down is a scene with a Pod of the first attempt, which was given what is
// asked for.
func down(changes ...func(*corev1.Pod)) func(*situation) {
	return func(s *situation) {
		given(report.Download, 1)(s)
		job(1, changes...)(s)
	}
}

func TestAPodThatDoesNotStartSaysWhy(t *testing.T) {
	claim := func(phase corev1.PersistentVolumeClaimPhase) func(*situation) {
		return func(s *situation) {
			s.o.claim = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{UID: "claim"}}
			s.o.claim.Status.Phase, s.o.claim.Spec.VolumeName = phase, "pv-7"
			s.o.claim.CreationTimestamp.Time = began
		}
	}
	hint := func(uid, message string) func(*situation) {
		return func(s *situation) { s.o.hints[s.o.jobs[0].UID] = message; s.o.hints["claim"] = message; _ = uid }
	}
	check(t, []decision{
		{"no Pod yet", scene(down()), "", "Waiting WorkerPending", []string{"being made"}},
		{"quota exceeded", scene(down(), hint("", `Error creating: pods "x" is forbidden: exceeded quota: small`)), "", "Waiting QuotaExceeded", []string{"ResourceQuota", "exceeded quota: small"}},
		{"a policy refuses it", scene(down(), hint("", `Error creating: admission webhook "p" denied the request`)), "", "Waiting WorkerPending", []string{"admission webhook"}},
		{"image can't be pulled", scene(down(waits("ErrImagePull", "not found"))), "", "Waiting ImagePullBackOff", []string{"operator:v1", "node-1", "not found", "imagePullSecrets"}},
		{"image is not tried at the moment", scene(down(waits("ImagePullBackOff", `Back-off pulling image "operator:v1": ErrImagePull: not found`))), "", "Waiting ImagePullBackOff", []string{": not found"}},
		{"the container can't be configured", scene(down(waits("CreateContainerConfigError", `secret "x" not found`))), "", "Waiting CreateContainerConfigError", []string{"not found"}},
		{"it is just being started", scene(down(waits("ContainerCreating", ""))), "", "Waiting WorkerPending", []string{"being started"}},
		{"it was there before", scene(down(waits("ContainerCreating", "")), func(s *situation) { s.m.last.InfoHash = theHash }), "", "Waiting", nil},
		{"unschedulable", scene(down(unschedulable("0/2 nodes are available: 2 Insufficient memory."))), "", "Waiting Unschedulable", []string{"spec.worker.resources", "Insufficient memory"}},
		{"its volume is on another node", scene(down(unschedulable("1 node(s) had volume node affinity conflict"))), "", "Waiting Unschedulable", []string{"claim's volume", "nodeSelector"}},
		{"another Pod has the claim", scene(down(unschedulable("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"))), "", "Waiting Unschedulable", []string{"another Pod has the claim"}},
		{"the claim is gone", scene(down(unschedulable("not found")), func(s *situation) { s.o.claim = nil }), "", "Waiting ClaimNotFound", []string{"datasets", "create it"}},
		{"the claim is pending", scene(down(unschedulable("unbound")), claim(corev1.ClaimPending), hint("", "no storage class")), "", "Waiting ClaimPending", []string{"no storage class"}},
		{"the claim has lost its volume", scene(down(unschedulable("lost")), claim(corev1.ClaimLost)), "", "Waiting ClaimLost", []string{"pv-7", "create the claim again"}},
		{"it runs and has not told yet", scene(down(runs), func(s *situation) { s.m.asked = noon }), "", "Waiting", nil},
		{"it runs and never tells", scene(down(runs)), "", "Waiting WorkerSilent", []string{"NetworkPolicy", "operator:8444"}},
	})
}

func TestAPodThatEndsBeforeItIsDoneSaysHow(t *testing.T) {
	check(t, []decision{
		{"killed for its memory", scene(down(ends(137, "OOMKilled", result(download.StateDownloading, nil)))), "", "Failed OOMKilled", []string{"limits.memory"}},
		{"crashed", scene(down(ends(2, "Error", nil))), "", "Failed WorkerFailed", []string{"exit code 2", "log"}},
		{"told to stop", scene(down(ends(7, "Error", result(download.StateDownloading, nil)))), "", "Failed WorkerFailed", []string{"told to stop"}},
		{"does not know the order", scene(down(ends(report.ExitOrder, "Error", nil))), "", "Failed WorkerFailed", []string{"version"}},
		{"evicted", scene(down(func(p *corev1.Pod) {
			runs(p)
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
		})), "", "Failed Evicted", []string{"node-1", "low on resource"}},
		{"preempted", scene(down(ends(7, "Error", nil), disrupted("PreemptionByScheduler"))), "", "Failed Preempted", []string{"priority"}},
		{"drained", scene(down(ends(7, "Error", nil), disrupted("EvictionByEvictionAPI"))), "", "Failed Drained", []string{"drained"}},
		{"taken away with its node", scene(down(ends(137, "Error", nil), disrupted("DeletionByTaintManager"))), "", "Failed WorkerFailed", []string{"node-1 did not answer"}},
		{"done, without a word", scene(down(ends(0, "Completed", nil))), "", "Failed WorkerFailed", []string{"exit code 0"}},
		{"its Pod was deleted", scene(down(), func(s *situation) {
			s.o.jobs[0].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded"}}
		}), "", "Failed WorkerFailed", []string{"its Pod is gone"}},
		{"its Job was deleted by hand", scene(given(report.Download, 1), func(s *situation) { s.m.begun = 1 }), "", "Failed WorkerFailed", []string{"imagenet-0a1b2c3d-1 was deleted"}},
	})
}

func TestAFailedPodIsCountedOnce(t *testing.T) {
	s := scene(down(ends(137, "OOMKilled", nil)))
	m, v := decide(s)
	s.m = m
	_, again := decide(s)
	for _, p := range []*download.Progress{v.show, again.show} {
		if f := p.Worker.LastFailure; p.Worker.Restarts != 1 || f == nil || f.Reason != "OOMKilled" || f.ExitCode != 137 || !f.At.Equal(p.At) {
			t.Errorf("%+v: %+v", p.Worker, f)
		}
	}
}

// Nothing but the end of the first Pod lets a second one begin, however long
// its node is silent.
func TestANodeThatIsGoneWithoutAWordIsWaitedFor(t *testing.T) {
	silent := func(s *situation) { s.o.silentNodes["node-1"] = true }
	dropped := func(s *situation) { s.m.dropped = 1 }
	says := []string{"node-1", "delete its Node object", "out-of-service"}
	check(t, []decision{
		{"its worker runs", scene(down(runs), silent, heardOf("job-1", download.StateDownloading)), "", "Waiting NodeLost", says},
		{"its worker was to end", scene(down(runs, deleted), silent, heardOf("job-1", download.StateDownloading)), "", "Waiting NodeLost", says},
		{"its Job was to be deleted", scene(down(runs, deleted), silent, dropped), "delete 1", "Waiting NodeLost", says},
		{"its seeder runs", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), silent, heardOf("set", download.StateSeeding)), "", "Seeding NodeLost", says},
		{"it is back", scene(down(ends(7, "Error", nil)), dropped), "write Download 2, begin", "Waiting", nil},
		{"the kubelet does not end it", scene(down(runs, deleted), dropped), "delete 1", "Waiting WorkerEnding", []string{"has not ended in its time"}},
	})
}

func TestWhatTheAPIServerRefusesIsShown(t *testing.T) {
	refused := func(f *download.Failure) func(*situation) {
		return func(s *situation) { s.m.refused, s.m.refusedAt = f, began }
	}
	d := decision{"", scene(refused(download.Fail(download.ReasonQuotaExceeded, "no room"))), "", "Failed QuotaExceeded", []string{"no room"}}
	if _, v := d.check(t); !v.show.At.Equal(began) {
		t.Errorf("since %v", v.show.At)
	}
}

func TestASeederThatIsBegunAgainIsCounted(t *testing.T) {
	again := func(p *corev1.Pod) {
		waits("CrashLoopBackOff", "back-off 5m0s")(p)
		c := &p.Status.ContainerStatuses[0]
		c.RestartCount = 3
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: metav1.Time{Time: noon}}
	}
	s := scene(want(seeding), given(report.Seed, 1, seeding), set(again))
	m, v := decide(s)
	if shows(&v) != "Seeding OOMKilled" || v.show.Worker.Restarts != 3 {
		t.Errorf("shows %s, %+v", shows(&v), v.show.Worker)
	}
	s.m = m
	if _, v = decide(s); v.show.Worker.Restarts != 3 {
		t.Errorf("counted again: %+v", v.show.Worker)
	}
}

// A seeder that has failed by itself did not find what it was to serve: the
// data is looked at by a Job, which may write.
func TestASeederThatFailedIsFollowedByAJob(t *testing.T) {
	failed := func(p *corev1.Pod) {
		waits("CrashLoopBackOff", "")(p)
		c := &p.Status.ContainerStatuses[0]
		c.RestartCount = 1
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: metav1.Time{Time: noon},
			Message: string(report.EncodeResult(*result(download.StateFailed, download.Fail("VolumeError", "no journal"), seeding)))}
	}
	s := scene(want(seeding), given(report.Seed, 1, seeding), set(failed))
	d := decision{"", s, "delete seeder", "Failed VolumeError", []string{"no journal"}}
	m, _ := d.check(t)
	s = scene(want(seeding), given(report.Seed, 1, seeding))
	s.m = m
	s.m.spent = 1
	d = decision{"", s, "write Download 2, begin", "Waiting", nil}
	d.check(t)
}

func TestPuzzlingAndDoubtfulPods(t *testing.T) {
	p := &corev1.Pod{}
	p.CreationTimestamp.Time, p.Status.Phase = began, corev1.PodPending
	if puzzling(began.Add(patience), p) || !puzzling(began.Add(patience+1), p) {
		t.Error("a Pod is puzzling after its time")
	}
	runs(p)
	if doubtful(began.Add(silence), p, began) || !doubtful(began.Add(silence+1), p, began) || doubtful(began.Add(2*silence), p, began.Add(silence)) {
		t.Error("a Pod is doubtful when it is silent for long")
	}
	p.DeletionTimestamp = &metav1.Time{Time: began}
	if doubtful(began.Add(time.Second), p, began) || !doubtful(began.Add(patience+1), p, began.Add(patience)) {
		t.Error("a Pod is doubtful when it was to be gone")
	}
}
