package podexec

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// A seeder that an operator before has made begins anew, at a moment of its
// own. A download that runs is left alone.
func TestSeedersFollowAnUpgrade(t *testing.T) {
	made := func(release string) func(*situation) {
		return func(s *situation) {
			want(seeding)(s)
			given(report.Seed, 1, seeding)(s)
			set(runs)(s)
			heardOf("set", download.StateSeeding)(s)
			s.o.seeder.Annotations[annotationRelease], s.release = release, "new"
		}
	}
	begun := func(ago time.Duration) func(*situation) {
		return func(s *situation) { s.m.asked = noon.Add(-ago) }
	}
	check(t, []decision{
		{"this operator made it", scene(made("new"), begun(upgradeSpread)), "", "Seeding", nil},
		{"another one made it", scene(made("old"), begun(upgradeSpread)), "delete seeder", "Seeding WorkerEnding", nil},
		{"another one made it, and it is not its turn", scene(made("old"), begun(0)), "", "Seeding", nil},
		{"it downloads", scene(given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading), func(s *situation) { s.release = "new" }), "", "Downloading", nil},
	})
	moments := map[time.Duration]bool{}
	for _, uid := range []string{"a", "b", "c", "d"} {
		s := scene(made("old"))
		s.id.UID = uid
		for ago := time.Duration(0); ago <= upgradeSpread; ago += upgradeSpread / 1024 {
			if s.m.asked = noon.Add(-ago); s.outdated() {
				moments[ago] = true
				break
			}
		}
	}
	if len(moments) != 4 {
		t.Errorf("four seeders begin anew at %d moments", len(moments))
	}
}

func TestAReleaseIsWhatAllPodsAreMadeOf(t *testing.T) {
	c := Config{Image: "operator:v1", PullPolicy: corev1.PullAlways}
	before := c.release()
	if set, err := c.statefulSet(one, &order{task: report.Seed, request: *asked(seeding)}); err != nil || set.Annotations[annotationRelease] != before {
		t.Errorf("%v: %v", set.Annotations, err)
	}
	for what, change := range map[string]func(*Config){
		"image":       func(c *Config) { c.Image = "operator:v2" },
		"pull policy": func(c *Config) { c.PullPolicy = "" },
		"defaults":    func(c *Config) { c.Defaults = v1alpha1.WorkerSpec{FSGroup: 7} },
		"flag":        func(c *Config) { c.WorkerArgs = []string{"--dht"} },
	} {
		other := c
		if change(&other); other.release() == before {
			t.Errorf("another %s is the same release", what)
		}
	}
	c.Port, c.Endpoint = 7000, "elsewhere:1"
	if c.release() != before {
		t.Error("what an order says makes another release")
	}
}

// Peers from outside reach a download at a port of the nodes that Kubernetes
// chooses. Trackers are told of the port at which the worker takes peers, so it
// is the same.
func TestAWorkerTakesPeersAtThePortOfItsService(t *testing.T) {
	exposed := func(r *download.Request) { r.Inbound.Service = "NodePort" }
	reached := func(port int) func(*download.Request) {
		return func(r *download.Request) { exposed(r); r.Inbound.Port = port }
	}
	reachedSeeding := func(r *download.Request) { seeding(r); reached(31234)(r) }
	at := func(port int32) func(*situation) {
		return func(s *situation) {
			s.o.service = service(one, 6881, "NodePort")
			s.o.service.Spec.Ports[0].NodePort = port
		}
	}
	d := decision{"", scene(want(exposed), at(31234)), "write Download 1, begin", "Waiting", nil}
	if _, v := d.check(t); v.write.request.Inbound.Port != 31234 {
		t.Errorf("it is given port %d", v.write.request.Inbound.Port)
	}
	check(t, []decision{
		{"it runs", scene(want(exposed), given(report.Download, 1, reached(31234)), at(31234), job(1, runs), heardOf("job-1", download.StateDownloading)), "", "Downloading", nil},
		{"its Service was made again", scene(want(exposed), given(report.Download, 1, reached(31234)), at(30000), job(1, runs), heardOf("job-1", download.StateDownloading)), "delete 1", "Waiting WorkerEnding", nil},
		{"its Service was deleted", scene(want(exposed), given(report.Download, 1, reached(31234)), job(1, runs), heardOf("job-1", download.StateDownloading)), "service NodePort", "Downloading", nil},
		{"it is complete", scene(want(exposed), given(report.Download, 1, reached(31234)), at(31234), job(1, ends(0, "Completed", result(download.StateComplete, nil, reached(31234))))), "delete service", "Complete", nil},
		{"it is complete and at rest", scene(want(exposed), given(report.Download, 1, reached(31234)), job(1, ends(0, "Completed", result(download.StateComplete, nil, reached(31234))))), "", "Complete", nil},
		{"it failed", scene(want(exposed), given(report.Download, 1, reached(31234)), at(31234), job(1, ends(1, "Error", result(download.StateFailed, download.Fail("TrackerUnreachable", "no"), reached(31234))))), "", "Failed TrackerUnreachable", nil},
		{"it seeds", scene(want(seeding, exposed), given(report.Seed, 1, reachedSeeding), at(31234), set(runs), heardOf("set", download.StateSeeding)), "", "Seeding", nil},
		{"it is to be seeded, and its Service is being made", scene(want(seeding, exposed), given(report.Download, 1, reachedSeeding), job(1, ends(0, "Completed", result(download.StateComplete, nil, reachedSeeding)))), "service NodePort", "Seeding WorkerPending", nil},
	})
}
