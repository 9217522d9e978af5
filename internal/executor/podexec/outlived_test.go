package podexec

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// meshed has the proxy of a service mesh in a Pod, which never ends by itself.
func meshed(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = append([]corev1.ContainerStatus{{
		Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}, p.Status.ContainerStatuses...)
}

// What the worker came to counts, whatever else is in its Pod. The Pod goes, and
// is gone before the next one is made.
func TestAPodEndsWithItsWorker(t *testing.T) {
	complete := ends(0, "Completed", result(download.StateComplete, nil))
	failed := ends(1, "Error", result(download.StateFailed, download.Fail("TrackerUnreachable", "no tracker")))
	gone := func(s *situation) { s.o.jobs[0].DeletionTimestamp = &metav1.Time{Time: noon} }
	check(t, []decision{
		{"it is complete", scene(given(report.Download, 1), job(1, complete, meshed)), "delete 1", "Complete", nil},
		{"it is complete and to be seeded", scene(want(seeding), given(report.Download, 1, seeding), job(1, complete, meshed)), "delete 1", "Seeding WorkerEnding", nil},
		{"it has failed", scene(given(report.Download, 1), job(1, failed, meshed)), "delete 1", "Failed TrackerUnreachable", nil},
		{"its time to try again has come", scene(given(report.Download, 1), job(1, failed, meshed), gone, func(s *situation) { s.m.spent = 1 }), "", "Waiting WorkerEnding", nil},
		{"everything in its Pod has ended, and the Pod says so in a moment", scene(given(report.Download, 1), job(1, complete, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }),
			heardOf("job-1", download.StateFinishing)), "", "Finishing", nil},
		{"only the proxy has ended", scene(given(report.Download, 1), job(1, runs, meshed, func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
		}), heardOf("job-1", download.StateDownloading)), "", "Downloading", nil},
	})
}

// A worker goes on without being heard, but nobody knows how fast.
func TestASilentWorkerHasNoRates(t *testing.T) {
	heard := func(ago time.Duration) func(*situation) {
		return func(s *situation) {
			s.m.heard.at = noon.Add(-ago)
			s.m.last.DownloadBytesPerSecond, s.m.last.UploadBytesPerSecond = 7, 8
		}
	}
	downloads := func(s *situation) {
		given(report.Download, 1)(s)
		job(1, runs)(s)
		heardOf("job-1", download.StateDownloading)(s)
	}
	serves := func(s *situation) {
		want(seeding)(s)
		given(report.Seed, 1, seeding)(s)
		set(runs)(s)
		heardOf("set", download.StateSeeding)(s)
	}
	for _, c := range []struct {
		decision
		rates bool
	}{
		{decision{"heard a minute ago", scene(downloads, heard(silence)), "", "Downloading", nil}, true},
		{decision{"silent", scene(downloads, heard(silence+1)), "", "Downloading WorkerSilent", []string{"since 2026-05-01T12:58:59Z", "NetworkPolicy"}}, false},
		{decision{"a seeder heard a minute ago", scene(serves, heard(silence)), "", "Seeding", nil}, true},
		{decision{"a silent seeder", scene(serves, heard(silence+1)), "", "Seeding WorkerSilent", []string{"operator:8444"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, v := c.check(t)
			if p := v.show; (p.DownloadBytesPerSecond == 7) != c.rates || (p.UploadBytesPerSecond == 8) != c.rates {
				t.Errorf("it shows %d and %d bytes a second", p.DownloadBytesPerSecond, p.UploadBytesPerSecond)
			}
			if v.again <= 0 || v.again > silence {
				t.Errorf("it is looked at again after %v", v.again)
			}
		})
	}
}

func TestARefusalBesideAPodThatRunsIsTold(t *testing.T) {
	refused := func(s *situation) {
		s.m.refused, s.m.refusedAt = download.Fail(download.ReasonQuotaExceeded, "no NodePort is left"), noon
	}
	exposed := func(r *download.Request) { r.Inbound.Service = "NodePort" }
	served := func(r *download.Request) { seeding(r); exposed(r) }
	check(t, []decision{
		{"it downloads", scene(want(exposed), given(report.Download, 1, exposed), job(1, runs), heardOf("job-1", download.StateDownloading), refused), "", "Downloading QuotaExceeded", []string{"NodePort"}},
		{"it seeds", scene(want(served), given(report.Seed, 1, served), set(runs), heardOf("set", download.StateSeeding), refused), "", "Seeding QuotaExceeded", nil},
	})
}

// A download is as complete without its seeder, which is tried again by itself.
func TestASeederThatIsRefusedIsTriedAgain(t *testing.T) {
	refused := func(f *download.Failure, ago time.Duration) func(*situation) {
		return func(s *situation) { s.m.refused, s.m.refusedAt = f, noon.Add(-ago) }
	}
	complete := func(s *situation) {
		want(seeding)(s)
		given(report.Download, 1, seeding)(s)
		job(1, ends(0, "Completed", result(download.StateComplete, nil, seeding)))(s)
	}
	quota := download.Fail(download.ReasonQuotaExceeded, "no room")
	check(t, []decision{
		{"a moment ago", scene(complete, refused(quota, refusedSeeder-1)), "", "Seeding QuotaExceeded", []string{"no room"}},
		{"some time ago", scene(complete, refused(quota, refusedSeeder)), "write Seed 1, seed", "Seeding QuotaExceeded", []string{"no room"}},
		{"for good", scene(complete, refused(download.FailForGood(download.ReasonWorkerFailed, "no such priority"), time.Hour)), "", "Seeding WorkerFailed for good", nil},
	})
}

func TestASeederThatIsBeingDeletedIsWaitedFor(t *testing.T) {
	gone := func(s *situation) { s.o.seeder.DeletionTimestamp = &metav1.Time{Time: noon} }
	check(t, []decision{
		{"it ends", scene(want(seeding), given(report.Seed, 1, seeding), set(runs, deleted), gone, heardOf("set", download.StateSeeding)), "", "Seeding WorkerEnding", nil},
		{"its Pod is gone", scene(want(seeding), given(report.Seed, 1, seeding), set(), gone), "", "Seeding WorkerEnding", []string{"StatefulSet imagenet-0a1b2c3d "}},
		{"it has to go for another download", scene(want(seeding, func(r *download.Request) { r.VerifyToken = "now" }), given(report.Seed, 1, seeding), set(runs, deleted), gone), "", "Waiting WorkerEnding", nil},
	})
}
