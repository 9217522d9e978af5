package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// TestEachFailureHasItsConditionReasonAndMessage holds the operator to what a
// person sees who has made a mistake, or whose peers have: three conditions,
// the same reason in each, and a message that says what to do.
func TestEachFailureHasItsConditionReasonAndMessage(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	good := newTorrent(t, "good", 1<<20)
	seeder := good.seed(t)
	t.Run("all", func(t *testing.T) { // Ends when all of them have.
		for name, f := range map[string]func(*world, *torrent, string){
			"AWrongMetainfo":                    wrongMetainfo,
			"APinnedHashThatDiffers":            anotherHash,
			"AnUnreachableURL":                  unreachableURL,
			"AMissingClaim":                     missingClaim,
			"AnUnreachableTracker":              unreachableTracker,
			"NoPeers":                           noPeers,
			"ATorrentLargerThanItsVolume":       tooLarge,
			"AVolumeThatFillsUpWhichNeedsRoot":  fillsUp,
			"APeerThatSendsWrongBytes":          corruptPeer,
			"SomebodyElsesFileUnderAWantedName": foreignFile,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f(w.at(t), good, seeder)
			})
		}
	})
}

// stalls waits until a download can't go on without a person.
func (w *world) stalls(name, reason string) *v1alpha1.TorrentDownload {
	w.Helper()
	return w.stands(name, "False "+reason, "", "True "+reason, status.FailedStatus)
}

func wrongMetainfo(w *world, _ *torrent, _ string) {
	w.download("wrong", []byte("<html>please log in</html>"))
	td := w.stalls("wrong", "MetainfoInvalid")
	w.says(td, ".torrent", "put the right .torrent file there")
	if got := condition(td, v1alpha1.ConditionMetadataResolved); got != "False MetainfoInvalid" {
		w.Errorf("MetadataResolved is %q", got)
	}
}

func anotherHash(w *world, good *torrent, seeder string) {
	pin := strings.Repeat("0123456789", 4)
	w.download("pinned", good.file, from(seeder), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Verification.InfoHash = pin
	})
	td := w.stalls("pinned", "InfoHashMismatch")
	w.says(td, pin, good.meta.InfoHash.String(), "spec.verification.infoHash")
	if files, err := os.ReadDir(w.folder("pinned")); err != nil || len(files) > 0 {
		w.Errorf("the volume holds %v, %v", files, err)
	}
	w.change("pinned", func(td *v1alpha1.TorrentDownload) { td.Spec.Verification.InfoHash = good.meta.InfoHash.String() })
	w.completes("pinned")
}

func unreachableURL(w *world, good *torrent, seeder string) {
	var repaired atomic.Bool
	address := serve(w.T, func(rw http.ResponseWriter, r *http.Request) {
		if repaired.Load() {
			_, _ = rw.Write(good.file)
			return
		}
		select { // Long enough for each attempt to be noticed.
		case <-time.After(300 * time.Millisecond):
		case <-r.Context().Done():
		}
		http.Error(rw, "later", http.StatusServiceUnavailable)
	})
	w.download("url", nil, from(seeder), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{URL: &v1alpha1.URLSource{Address: address + "/path/good.torrent"}}
	})
	td := w.stands("url", "False Retrying", "True Retrying", "", status.InProgressStatus)
	w.says(td, "MetainfoUnavailable", "503", strings.TrimPrefix(address, "http://"), "check the URL")
	if got := condition(td, v1alpha1.ConditionMetadataResolved); got != "False MetainfoUnavailable" {
		w.Errorf("MetadataResolved is %q", got)
	}
	w.holdsStill("url", 5*time.Second)
	repaired.Store(true)
	w.completes("url")
	w.toldOnce("url", "Retrying", "Complete")
}

func missingClaim(w *world, good *torrent, seeder string) {
	w.apply("missing", good.file, from(seeder))
	td := w.stands("missing", "False ClaimNotFound", "True ClaimNotFound", "", status.InProgressStatus)
	w.says(td, "missing", w.ns, "Create it")
	if got := condition(td, v1alpha1.ConditionVolumeReady); got != "False ClaimNotFound" {
		w.Errorf("VolumeReady is %q", got)
	}
	w.claim("missing")
	w.completes("missing")
	good.compare(w.T, w.folder("missing"))
}

func unreachableTracker(w *world, _ *torrent, _ string) {
	closed := "http://" + freeAddress(w.T)
	w.download("tracker", newTorrent(w.T, "tracker", 1<<20, closed+"/announce?passkey=s3cret").file, stallsAfter(2))
	td := w.stalls("tracker", "TrackerUnreachable")
	w.says(td, strings.TrimPrefix(closed, "http://"), "racker", "add")
	if strings.Contains(message(td), "s3cret") {
		w.Errorf("the message tells the passkey: %s", message(td))
	}
}

func noPeers(w *world, _ *torrent, _ string) {
	lonely := newTorrent(w.T, "lonely", 1<<20, newTracker(w.T))
	w.download("lonely", lonely.file, stallsAfter(2))
	w.says(w.stalls("lonely", "NoPeers"), "add", "peers")
	w.change("lonely", from(lonely.seed(w.T)))
	w.completes("lonely")
}

// tooLarge needs no right to make a volume: it describes a torrent for which
// no volume of this machine has room.
func tooLarge(w *world, _ *torrent, _ string) {
	var fs unix.Statfs_t
	if err := unix.Statfs(w.volumes, &fs); err != nil {
		w.Fatal(err)
	}
	const piece = 1 << 30
	pieces := int(int64(fs.Blocks)*fs.Bsize/piece) + 2
	file, err := bencode.Marshal(map[string]any{"info": map[string]any{
		"length": int64(pieces) * piece, "name": "large", "piece length": piece, "pieces": strings.Repeat("01234567890123456789", pieces),
	}})
	if err != nil {
		w.Fatal(err)
	}
	w.download("large", file)
	w.says(w.stalls("large", "InsufficientSpace"), "large", "free some space")
}

// fillsUp fills a volume behind the operator's back while it downloads, and
// makes room again.
func fillsUp(w *world, _ *torrent, _ string) {
	if os.Geteuid() != 0 {
		w.Skip("only root can mount a volume of its own; a torrent larger than its volume is tested without")
	}
	o := newTorrent(w.T, "filling", 6<<20)
	w.claim("filling")
	if err := unix.Mount("tmpfs", w.folder("filling"), "tmpfs", 0, "size=8m"); err != nil {
		w.Fatalf("mounting a tmpfs: %v", err)
	}
	w.Cleanup(func() {
		if err := unix.Unmount(w.folder("filling"), unix.MNT_DETACH); err != nil {
			w.Error(err)
		}
	})
	slow := newSeeder(w.T, o, 1<<20)
	w.apply("filling", o.file, from(slow.address()))
	w.awaitDownload("filling", "downloads", func(td *v1alpha1.TorrentDownload) bool {
		return td.Status.Progress != nil && td.Status.Progress.BytesVerified > 0
	})
	filler := filepath.Join(w.folder("filling"), "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); err != nil {
		w.Fatal(err)
	}
	fill(w.T, filler)
	td := w.stalls("filling", "InsufficientSpace")
	w.says(td, "space")
	w.holdsStill("filling", 5*time.Second)
	if err := os.Remove(filler); err != nil {
		w.Fatal(err)
	}
	w.completes("filling")
	o.compare(w.T, w.folder("filling"))
	w.toldOnce("filling", "InsufficientSpace", "Complete")
}

// fill makes a file longer until its volume is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
}

// holdsStill checks that Ready makes no transition for a while, in which a
// failure is tried again several times.
func (w *world) holdsStill(name string, d time.Duration) {
	w.Helper()
	before := condition(w.get(name), v1alpha1.ConditionReady)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if now := condition(w.get(name), v1alpha1.ConditionReady); now != before {
			w.Errorf("Ready flaps from %q to %q", before, now)
			return
		}
	}
}

func corruptPeer(w *world, _ *torrent, _ string) {
	o := newTorrent(w.T, "poisoned", 1<<20)
	liar := newSeeder(w.T, o, 0)
	liar.lie.Store(true)
	w.download("poisoned", o.file, from(liar.address()), stallsAfter(2))
	td := w.stalls("poisoned", "CorruptPeers")
	w.says(td, "banned", "add other trackers or peers")
	if n := td.Status.Progress.BytesVerified; n != 0 {
		w.Errorf("%d wrong bytes are called verified", n)
	}
}

func foreignFile(w *world, good *torrent, seeder string) {
	w.claim("foreign")
	path := filepath.Join(w.folder("foreign"), "good", "data")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("the user's own"), 0o644); err != nil {
		w.Fatal(err)
	}
	w.apply("foreign", good.file, from(seeder))
	w.says(w.stalls("foreign", "PathConflict"), "good/data")
	if b, err := os.ReadFile(path); err != nil || string(b) != "the user's own" {
		w.Errorf("the user's file holds %q now, %v", b, err)
	}
	if err := os.Remove(path); err != nil {
		w.Fatal(err)
	}
	w.annotate("foreign", v1alpha1.AnnotationRetryRequestedAt, "now")
	w.completes("foreign") // Perhaps by the retry that was due anyway, before the asked one is answered.
	w.awaitDownload("foreign", "lastHandledRetryAt now", func(td *v1alpha1.TorrentDownload) bool { return td.Status.LastHandledRetryAt == "now" })
	good.compare(w.T, w.folder("foreign"))
}
