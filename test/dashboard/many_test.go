//go:build browser

package dashboard

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// resting makes a download that no operator works on.
func (w *world) resting(name string) *v1alpha1.TorrentDownload {
	w.Helper()
	td := &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "https://example.org/" + name + ".torrent"}},
			Volume: v1alpha1.Volume{ClaimName: "datasets"},
		},
	}
	if err := admin.Create(w.Context(), td); err != nil {
		w.Fatal(err)
	}
	return td
}

// standing is a download that stands as the operator would say it.
type standing struct {
	name           string
	reason, text   string
	stalled        bool
	pieces, there  int // Of 4 MiB.
	down, up       int64
	peers          int32
	seeding, rests bool
}

// stand makes a download with a status.
func (w *world) stand(s standing) {
	w.Helper()
	td := w.resting(s.name)
	now := metav1.Now()
	ready := metav1.Condition{Type: "Ready", Status: "False", Reason: s.reason, Message: s.text, LastTransitionTime: now}
	if s.reason == "Complete" {
		ready.Status = "True"
	}
	meta.SetStatusCondition(&td.Status.Conditions, ready)
	if s.stalled {
		meta.SetStatusCondition(&td.Status.Conditions, metav1.Condition{Type: "Stalled", Status: "True", Reason: s.reason, Message: s.text, LastTransitionTime: now})
	}
	if s.seeding {
		meta.SetStatusCondition(&td.Status.Conditions, metav1.Condition{Type: "Seeding", Status: "True", Reason: "Seeding", LastTransitionTime: now})
	}
	if s.pieces > 0 {
		const length = 4 << 20
		td.Status.Progress = &v1alpha1.Progress{
			Percent: int32(100 * s.there / s.pieces), BytesTotal: int64(s.pieces) * length, BytesVerified: int64(s.there) * length,
			DownloadBytesPerSecond: s.down, UploadBytesPerSecond: s.up,
		}
		if s.down > 0 {
			td.Status.Progress.ETASeconds = int64(s.pieces-s.there) * length / s.down
		}
		td.Status.Pieces = &v1alpha1.Pieces{Length: length, Total: int32(s.pieces), Verified: int32(s.there)}
		if s.there > 0 && s.there < s.pieces {
			td.Status.Pieces.Map, td.Status.Pieces.Encoding = scattered(s.pieces, s.there), v1alpha1.PieceMapBitfield
		}
	}
	td.Status.Peers = &v1alpha1.Peers{Connected: s.peers, Seeds: s.peers / 3, Known: s.peers * 4}
	td.Status.Volume = v1alpha1.VolumeStatus{ClaimName: "datasets"}
	if err := admin.Status().Update(w.Context(), td); err != nil {
		w.Fatal(err)
	}
}

// scattered is a bitfield of n pieces of which so many are there, in runs as
// they come from peers.
func scattered(n, there int) string {
	b := make([]byte, (n+7)/8)
	random := rand.New(rand.NewPCG(uint64(n), uint64(there)))
	for left := there; left > 0; {
		at := random.IntN(n)
		for i := at; i < min(n, at+1+n/40) && left > 0; i++ {
			if b[i/8]&(0x80>>(i%8)) == 0 {
				b[i/8] |= 0x80 >> (i % 8)
				left--
			}
		}
	}
	return base64.StdEncoding.EncodeToString(b)
}

// some makes downloads in all states that people meet.
func (w *world) some() {
	w.Helper()
	for _, s := range []standing{
		{name: "imagenet-2012", reason: "Downloading", text: "Fetching pieces from 23 peers.", pieces: 1480, there: 930, down: 88 << 20, up: 3 << 20, peers: 23},
		{name: "debian-13-netinst", reason: "Complete", text: "Every piece is verified and durable.", pieces: 180, there: 180, seeding: true, up: 6 << 20, peers: 11},
		{name: "common-voice-21", reason: "Downloading", text: "Fetching pieces from 9 peers.", pieces: 7200, there: 410, down: 21 << 20, peers: 9},
		{name: "openstreetmap-planet", reason: "Checking", text: "Hashing what lies on the volume.", pieces: 5100, there: 3900},
		{name: "wikipedia-en-dump", reason: "InsufficientSpace", stalled: true, text: "The claim datasets has 3.1GiB free and 18.0GiB are needed: expand it, or select fewer files.", pieces: 5600, there: 880},
		{name: "gutenberg-2025", reason: "Suspended", text: "spec.suspend is true.", rests: true, pieces: 2900, there: 1200},
		{name: "sentinel-tiles", reason: "NoPeers", stalled: true, text: "No peer has answered for 15 minutes. Look whether the tracker can be reached from the namespace.", pieces: 900, there: 300},
		{name: "llm-weights-70b", reason: "Resolving", text: "Asking peers what the torrent is made of."},
	} {
		w.stand(s)
	}
}

func TestTheListInAllStates(t *testing.T) {
	w := newWorld(t)
	w.some()
	b := browse(t, startDashboard(t))
	b.signIn(editor)
	for _, c := range []struct {
		name          string
		width, height int64
	}{{"", 1280, 760}, {"-360", 360, 780}, {"-3840", 3840, 2160}} {
		b.size(c.width, c.height)
		b.open("/?namespace=" + w.ns)
		b.reads(".live", "Live")
		b.reads(".tbody", "common-voice-21")
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			suffix := c.name
			if scheme == "dark" {
				suffix += "-dark"
			}
			b.picture("dashboard-list" + suffix)
		}
		if wide := eval[int](b, "document.documentElement.scrollWidth"); wide > int(c.width) {
			t.Errorf("at %d px the list is %d px wide", c.width, wide)
		}
		b.open("/downloads/" + w.ns + "/imagenet-2012")
		b.reads(".live", "Live")
		b.reads("[data-f=pieces]", "930 of 1,480")
		b.picture("dashboard-one" + c.name)
		if wide := eval[int](b, "document.documentElement.scrollWidth"); wide > int(c.width) {
			t.Errorf("at %d px the page of a download is %d px wide", c.width, wide)
		}
	}
	b.size(1280, 760)
	b.open("/?namespace=" + w.ns)
	b.reads(".live", "Live")
	b.run(clickOn("[data-filter=trouble]"))
	await(t, "only what is stuck is shown", func() bool { return b.lines() == 2 })
	b.run(clickOn("[data-filter='']"))
	eval[bool](b, `(() => { const s = document.querySelector("#seek"); s.value = "nothing like it"; s.dispatchEvent(new Event("input")); return true; })()`)
	b.reads(".empty", "Nothing matches")
	eval[bool](b, `(() => { const s = document.querySelector("#seek"); s.value = "planet"; s.dispatchEvent(new Event("input")); return true; })()`)
	await(t, "the search finds one", func() bool { return b.lines() == 1 })
}

// watchTasks gathers how long tasks of the main thread take that take more
// than 50 ms, in milliseconds.
const watchTasks = `(() => {
  window.tasks = [];
  new PerformanceObserver((l) => l.getEntries().forEach((e) => tasks.push(Math.round(e.duration)))).observe({ type: "longtask", buffered: true });
  return true;
})()`

// useList scrolls, searches, filters and sorts, a frame after the other.
const useList = `(async () => {
  const frame = () => new Promise((r) => requestAnimationFrame(r));
  for (let y = 0; y < document.body.scrollHeight; y += 3000) { scrollTo(0, y); await frame(); }
  for (const head of document.querySelectorAll("[data-sort]")) { head.click(); await frame(); head.click(); await frame(); }
  const seek = document.querySelector("#seek");
  for (const text of ["d", "da", "dat", "data-1", "data-12", "", "waiting", ""]) {
    seek.value = text; seek.dispatchEvent(new Event("input")); await frame(); await frame();
  }
  for (const chip of document.querySelectorAll("[data-filter]")) { chip.click(); await frame(); await frame(); }
  document.querySelector("[data-filter='']").click();
  await frame(); await frame();
  return tasks;
})()`

// TestTheListKeepsOnlyRowsInSight holds the list to a bounded document. With
// -measure it has 5,000 downloads and holds the main thread to tasks of 50 ms,
// which takes a machine with nothing else to do.
func TestTheListKeepsOnlyRowsInSight(t *testing.T) {
	n, runs := 300, 1
	if *measure {
		n, runs = 5000, 4
	}
	w := newWorld(t)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: fmt.Sprintf("data-%04d", i)}}
			td.Spec.Source.URL = &v1alpha1.URLSource{Address: "https://example.org/a.torrent"}
			td.Spec.Volume.ClaimName = "datasets"
			return admin.Create(ctx, td)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	b := browse(t, startDashboard(t))
	b.signIn(viewer)
	var tasks []int
	for range runs {
		b.open("/?namespace=" + w.ns)
		eval[bool](b, watchTasks)
		b.reads("[data-filter=''] span", eval[string](b, fmt.Sprintf("(%d).toLocaleString('en-US')", n)))
		// The answer's own rows go with the first frame of the script.
		await(t, "only rows in sight are in the document", func() bool { return b.lines() < 60 })
		tasks = eval[[]int](b, useList)
		if rows := b.lines(); rows == 0 || rows >= 60 {
			t.Errorf("of %d rows %d are in the document", n, rows)
		}
		if len(tasks) == 0 {
			break
		}
	}
	if *measure && len(tasks) > 0 {
		t.Errorf("the main thread was busy for more than 50 ms at a time in each of %d runs, lastly for %v ms", runs, tasks)
	}
}

// lines counts the rows in the document.
func (b *tab) lines() int {
	b.Helper()
	return eval[int](b, `document.querySelectorAll(".tbody .line").length`)
}
