package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// limited bounds the rate of a download.
func limited(bytesPerSecond string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) {
		q := resource.MustParse(bytesPerSecond)
		td.Spec.Limits.DownloadBytesPerSecond = &q
	}
}

// halfway waits until a download has some of its pieces, and not all.
func (w *world) halfway(name string) *v1alpha1.TorrentDownload {
	w.Helper()
	w.stands(name, "False Downloading", "True Downloading", "", status.InProgressStatus)
	return w.awaitDownload(name, "is on its way", func(td *v1alpha1.TorrentDownload) bool {
		return td.Status.Progress != nil && td.Status.Progress.Percent > 0 && td.Status.Progress.Percent < 100
	})
}

// TestFromApplyToVerifiedBytes takes the way that the README shows, with a
// tracker and a seeder of our own command line.
func TestFromApplyToVerifiedBytes(t *testing.T) {
	w := newWorld(t)
	op := startOperator(t, w.volumes)
	announce := launch(t, "tracker", "--listen=127.0.0.1:0", "--interval=10s")
	o := newTorrent(t, "dataset", 24<<20, announce)
	launch(t, "download", o.save(t), "--output="+o.dir, "--seed", "--port="+port(freeAddress(t)), "--json")

	w.download("dataset", o.file, limited("4Mi"), func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.Path = "a/b" })
	w.tellsHowFar(w.halfway("dataset"), o)
	w.prints("dataset", `^dataset +False +Downloading +\d+% of 24MiB, [\d.]+MiB/s, \d+s left +1 +dataset +\d+s$`)
	td := w.completes("dataset")
	w.prints("dataset", `^dataset +True +Complete +100% of 24MiB +\d+ +dataset +\d+s$`)
	o.compare(t, filepath.Join(w.folder("dataset"), "a", "b"))
	if s := td.Status; s.InfoHash.V1 != o.meta.InfoHash.String() || s.Name != "dataset" || s.Worker.NodeName != node && s.Worker.NodeName != "" ||
		s.Volume != (v1alpha1.VolumeStatus{ClaimName: "dataset", Path: "a/b"}) || s.Pieces.Verified != s.Pieces.Total || s.StartTime == nil {
		t.Errorf("complete with %+v", s)
	}
	for kind, want := range map[string]string{
		v1alpha1.ConditionMetadataResolved: "True Resolved", v1alpha1.ConditionVolumeReady: "True Mounted",
		v1alpha1.ConditionComplete: "True Complete", v1alpha1.ConditionSeeding: "False NotSeeding",
	} {
		if got := condition(td, kind); got != want {
			t.Errorf("%s is %q, want %q", kind, got, want)
		}
	}
	w.toldOnce("dataset", "Resolved", "Downloading", "Complete")
	op.isObservable()
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// tellsHowFar checks the numbers of a download that is on its way.
func (w *world) tellsHowFar(td *v1alpha1.TorrentDownload, o *torrent) {
	w.Helper()
	p, pieces := td.Status.Progress, td.Status.Pieces
	switch {
	case p.BytesTotal != o.meta.Info.PayloadLength() || p.BytesVerified <= 0 || p.BytesVerified >= p.BytesTotal:
		w.Errorf("progress is %+v", p)
	case int(pieces.Total) != o.meta.Info.PieceCount() || pieces.Verified <= 0 || pieces.Map == "" || pieces.Encoding != v1alpha1.PieceMapBitfield:
		w.Errorf("pieces are %+v", pieces)
	case td.Status.Peers == nil || td.Status.Peers.Connected != 1 || td.Status.Peers.Seeds != 1:
		w.Errorf("peers are %+v", td.Status.Peers)
	case td.Status.Worker.NodeName != node:
		w.Errorf("the worker is %+v", td.Status.Worker)
	}
}

// prints waits until kubectl get td shows a row of this pattern below the
// columns that are promised.
func (w *world) prints(name, pattern string) {
	w.Helper()
	columns := regexp.MustCompile(`^NAME +READY +REASON +PROGRESS +PEERS +CLAIM +AGE$`)
	row := regexp.MustCompile(pattern)
	var table string
	w.await(fmt.Sprintf("kubectl prints %s", pattern), func() bool {
		var err error
		if table, err = plane.Kubectl(w.Context(), "get", "td", name, "--namespace="+w.ns); err != nil {
			w.Fatal(err)
		}
		said := strings.Split(strings.TrimSpace(table), "\n")
		if len(said) != 2 || !columns.MatchString(strings.TrimRight(said[0], " ")) {
			w.Fatalf("kubectl prints\n%s", table)
		}
		return row.MatchString(strings.TrimRight(said[1], " "))
	})
}

// isObservable checks probes, metrics and logs.
func (o *operator) isObservable() {
	o.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := o.get(o.health + path); code != http.StatusOK {
			o.Errorf("%s answers %d %s", path, code, body)
		}
	}
	code, metrics := o.get(o.metrics)
	if code != http.StatusOK {
		o.Errorf("metrics answer %d", code)
	}
	for _, want := range []string{`controller_runtime_reconcile_total{controller="torrentdownload"`, `kind="transition"`, `kind="telemetry"`} {
		if !strings.Contains(metrics, want) {
			o.Errorf("metrics lack %s", want)
		}
	}
	for line := range strings.Lines(o.logged()) {
		if !strings.HasPrefix(line, `{"time":"`) {
			o.Errorf("a line of the log is no structured record: %s", line)
		}
	}
}

// TestMetricsAreForThoseWhoMayReadThem starts the operator as it is installed:
// with TLS, and with the API server deciding who may read.
func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	w := newWorld(t)
	op := startOperator(t, w.volumes, "--metrics-insecure=false")
	op.metrics = strings.Replace(op.metrics, "http://", "https://", 1)
	op.await("its metrics answer", func() bool { return op.metricsAs("") != 0 })
	if code := op.metricsAs(""); code != http.StatusUnauthorized {
		t.Errorf("metrics answer a stranger with %d", code)
	}
	token := func(account string) string {
		out, err := plane.Kubectl(t.Context(), "create", "token", account, "--namespace="+w.ns)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	if _, err := plane.Kubectl(t.Context(), "create", "serviceaccount", "reader", "--namespace="+w.ns); err != nil {
		t.Fatal(err)
	}
	if code := op.metricsAs(token("reader")); code != http.StatusForbidden {
		t.Errorf("metrics answer somebody without the right with %d", code)
	}
	if _, err := plane.Kubectl(t.Context(), "create", "clusterrolebinding", w.ns, "--clusterrole=torrent-operator-metrics-reader",
		"--serviceaccount="+w.ns+":reader"); err != nil {
		t.Fatal(err)
	}
	op.await("metrics answer who may read them", func() bool { return op.metricsAs(token("reader")) == http.StatusOK })
}

func TestASuspendedDownloadGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	o := newTorrent(t, "paused", 8<<20)
	s := newSeeder(t, o, 2<<20)
	w.download("paused", o.file, from(s.address()))
	w.halfway("paused")
	w.change("paused", func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = new(true) })
	td := w.stands("paused", "False Suspended", "", "", status.InProgressStatus)
	w.says(td, "spec.suspend")
	if p := td.Status; p.Progress.DownloadBytesPerSecond != 0 || p.Peers != nil || p.Worker.NodeName != "" {
		t.Errorf("suspended, and the status is %+v", p)
	}
	s.alone()
	s.seal(journaled(t, o, w.folder("paused")))
	w.change("paused", func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = nil })
	w.completes("paused")
	o.compare(t, w.folder("paused"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		t.Errorf("fetched again after suspend: %v", s.wrong)
	}
}

func TestDeletionPolicies(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	o := newTorrent(t, "data", 1<<20)
	seeder := o.seed(t)
	deletes := func(td *v1alpha1.TorrentDownload) { td.Spec.DeletionPolicy = v1alpha1.DeletionDelete }
	t.Run("RetainKeepsTheData", func(t *testing.T) {
		w := w.at(t)
		w.download("retained", o.file, from(seeder))
		w.completes("retained")
		w.remove("retained")
		o.compare(t, w.folder("retained"))
	})
	t.Run("DeleteRemovesTheTorrentsOwnFilesOnly", func(t *testing.T) {
		w := w.at(t)
		w.download("deleted", o.file, from(seeder), deletes)
		w.completes("deleted")
		mine := filepath.Join(w.folder("deleted"), "data", "mine")
		if err := os.WriteFile(mine, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		w.remove("deleted")
		if left := filesBelow(t, w.folder("deleted")); len(left) != 1 || left[0] != mine {
			t.Errorf("left are %v", left)
		}
		w.toldOnce("deleted", "DataErased")
	})
	t.Run("DeleteInTheMiddleLeavesNothing", func(t *testing.T) {
		w := w.at(t)
		o := newTorrent(t, "middle", 8<<20)
		w.download("middle", o.file, from(newSeeder(t, o, 1<<20).address()), deletes)
		w.halfway("middle")
		w.remove("middle")
		if left := filesBelow(t, w.folder("middle")); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	})
	t.Run("DeleteDoesNotHangOnAMistake", func(t *testing.T) {
		w := w.at(t)
		w.download("garbage", []byte("garbage"), deletes)
		w.stalls("garbage", "MetainfoInvalid")
		w.remove("garbage")
		w.apply("claimless", o.file, deletes)
		w.stands("claimless", "False ClaimNotFound", "True ClaimNotFound", "", status.InProgressStatus)
		w.remove("claimless")
	})
}

// filesBelow returns all files below dir.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestTheVerifyAnnotationRepairsDamage(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	o := newTorrent(t, "damaged", 2<<20)
	w.download("damaged", o.file, from(o.seed(t)))
	before := w.completes("damaged")
	path := filepath.Join(w.folder("damaged"), "damaged", "data")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	w.annotate("damaged", v1alpha1.AnnotationVerifyRequestedAt, "now")
	w.await("the damage is repaired", func() bool {
		now, err := os.ReadFile(path)
		b[len(b)/2] ^= 1
		same := err == nil && string(now) == string(b)
		b[len(b)/2] ^= 1
		return same && w.get("damaged").Status.LastHandledVerifyAt == "now"
	})
	w.completes("damaged")
	o.compare(t, w.folder("damaged"))
	if before.Status.LastHandledVerifyAt != "" {
		t.Errorf("a check was handled before it was asked for: %q", before.Status.LastHandledVerifyAt)
	}
}

func TestTheRetryAnnotationTriesAtOnce(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	o := newTorrent(t, "again", 1<<20)
	sum := strings.Repeat("0", 64)
	var fetched atomic.Int32
	s := serve(t, func(rw http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = rw.Write(o.file)
	})
	w.download("again", nil, from(o.seed(t)), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Source = v1alpha1.Source{URL: &v1alpha1.URLSource{Address: s + "/again.torrent", SHA256: sum}}
	})
	w.says(w.stalls("again", "ChecksumMismatch"), "SHA-256")
	w.toldOnce("again", "ChecksumMismatch")
	for i := range int32(2) {
		w.annotate("again", v1alpha1.AnnotationRetryRequestedAt, fmt.Sprint(i))
		w.awaitDownload("again", "handles the retry", func(td *v1alpha1.TorrentDownload) bool {
			return td.Status.LastHandledRetryAt == fmt.Sprint(i) && fetched.Load() >= 2+i
		})
	}
	w.stalls("again", "ChecksumMismatch")
	if n := fetched.Load(); n != 3 {
		t.Errorf("the file was fetched %d times, for a start and two retries", n)
	}
}
