package lifecycle

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

const hash = "0123456789abcdef0123456789abcdef01234567"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is one object and what surrounds it; a test turns its knobs and lets
// it decide.
type world struct {
	t   *testing.T
	now time.Time
	td  *v1alpha1.TorrentDownload
	in  Inputs
	p   *download.Progress
}

// fresh is a world with a new object whose source and claim are there, and
// that no executor knows.
func fresh(t *testing.T) *world {
	return &world{
		t:   t,
		now: start,
		td: &v1alpha1.TorrentDownload{
			TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TorrentDownload"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ml", Name: "imagenet", UID: "5f0a", Generation: 1,
				CreationTimestamp: metav1.NewTime(start.Add(-time.Minute)),
			},
			Spec: v1alpha1.TorrentDownloadSpec{
				Source:  v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "https://example.org/a.torrent"}},
				Volume:  v1alpha1.Volume{ClaimName: "datasets", Path: "imagenet"},
				Seeding: v1alpha1.Seeding{Policy: v1alpha1.SeedingNone},
			},
			Status: v1alpha1.TorrentDownloadStatus{ObservedGeneration: -1},
		},
		in: Inputs{
			Source: download.Source{URL: &download.URL{Address: "https://example.org/a.torrent"}},
			Claim:  Claim{Exists: true},
		},
	}
}

// snapshot is a Progress of a torrent of 1,000 pieces of 1 MiB.
func snapshot(state download.State, verified int) *download.Progress {
	have := make([]byte, 125)
	for i := range verified {
		have[i/8] |= 0x80 >> (i % 8)
	}
	return &download.Progress{
		State: state, InfoHash: hash, Name: "imagenet",
		BytesTotal: 1000 << 20, BytesVerified: int64(verified) << 20,
		Pieces: download.Pieces{Length: 1 << 20, Total: 1000, Verified: verified, Have: have},
	}
}

// sees sets the executor's snapshot, as of now.
func (w *world) sees(p *download.Progress) *world {
	w.p = p
	if p != nil {
		p.At = w.now
	}
	return w
}

// downloading lets the object live until it downloads.
func (w *world) downloading() *world {
	w.decide()
	p := snapshot(download.StateDownloading, 420)
	p.DownloadBytesPerSecond, p.BytesDownloaded, p.Peers.Connected = 88<<20, 420<<20, 3
	w.sees(p).decide()
	w.stands(status.InProgressStatus, "Downloading")
	return w
}

// completed lets the object live until it is complete.
func (w *world) completed() *world {
	w.downloading()
	state := download.StateComplete
	if p := w.td.Spec.Seeding.Policy; p != v1alpha1.SeedingNone {
		state = download.StateSeeding
	}
	w.after(time.Minute).sees(snapshot(state, 1000)).decide()
	w.stands(status.CurrentStatus, "Complete")
	return w
}

// after lets time pass.
func (w *world) after(d time.Duration) *world {
	w.now = w.now.Add(d)
	return w
}

// restarted is what a restart of the operator leaves.
func (w *world) restarted() *world {
	w.in.Memory, w.p = Memory{}, nil
	return w
}

// annotated sets an annotation.
func (w *world) annotated(key, value string) *world {
	if w.td.Annotations == nil {
		w.td.Annotations = map[string]string{}
	}
	w.td.Annotations[key] = value
	return w
}

// changed is a change of the spec.
func (w *world) changed(f func(*v1alpha1.TorrentDownloadSpec)) *world {
	f(&w.td.Spec)
	w.td.Generation++
	return w
}

// decide decides once, checks what must be true of every decision, and carries
// status, finalizer and memory over into the world.
func (w *world) decide() Decision {
	w.t.Helper()
	before := w.td.DeepCopy()
	d := Next(w.now, w.td, w.in, w.p)
	if !reflect.DeepEqual(before, w.td) {
		w.t.Errorf("Next changed the object that it was given")
	}
	if d.Run != nil && d.Stop != nil {
		w.t.Errorf("both Run and Stop: %+v", d)
	}
	if d.AddFinalizer {
		w.td.Finalizers = append(w.td.Finalizers, v1alpha1.Finalizer)
	}
	w.td.Status, w.in.Memory = d.Status, d.Memory
	w.lawful()
	return d
}

// lawful checks what holds of every status that was ever decided.
func (w *world) lawful() {
	w.t.Helper()
	st := &w.td.Status
	if on(st, v1alpha1.ConditionReconciling) && on(st, v1alpha1.ConditionStalled) {
		w.t.Errorf("Reconciling and Stalled at once")
	}
	for _, c := range st.Conditions {
		if (c.Type == v1alpha1.ConditionReconciling || c.Type == v1alpha1.ConditionStalled) && c.Status != metav1.ConditionTrue {
			w.t.Errorf("%s is %s: it is True or absent", c.Type, c.Status)
		}
		if !validReason(c.Reason) || c.Message == "" || c.LastTransitionTime.IsZero() {
			w.t.Errorf("condition %+v lacks a reason, a message or a time", c)
		}
		if len(c.Message) > maxMessage {
			w.t.Errorf("message of %s has %d bytes", c.Type, len(c.Message))
		}
	}
	if p := st.Progress; p != nil && p.Percent == 100 && !on(st, v1alpha1.ConditionComplete) {
		w.t.Errorf("100%% of a download that is not complete")
	}
	if p := st.Pieces; p != nil && (len(p.Map) > 1368 || (p.Map == "") != (p.Encoding == "")) {
		w.t.Errorf("piece map of %d bytes with encoding %q", len(p.Map), p.Encoding)
	}
}

func on(st *v1alpha1.TorrentDownloadStatus, condition string) bool {
	return meta.IsStatusConditionTrue(st.Conditions, condition)
}

// kstatus is what kubectl wait, Argo CD, Flux and kpt make of the object.
func (w *world) kstatus() status.Status {
	w.t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.td)
	if err != nil {
		w.t.Fatal(err)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		w.t.Fatal(err)
	}
	return result.Status
}

// stands checks what kstatus computes and the reason of Ready.
func (w *world) stands(want status.Status, reason string) {
	w.t.Helper()
	if got := w.kstatus(); got != want {
		w.t.Errorf("kstatus is %s, want %s; conditions: %s", got, want, w.conditions())
	}
	if c := ready(w.td.Status.Conditions); c == nil || c.Reason != reason {
		w.t.Errorf("Ready has not the reason %s; conditions: %s", reason, w.conditions())
	}
}

// condition checks one condition, given as "True Reason" or "" for absent.
func (w *world) condition(kind, want string) {
	w.t.Helper()
	got := ""
	if c := meta.FindStatusCondition(w.td.Status.Conditions, kind); c != nil {
		got = string(c.Status) + " " + c.Reason
	}
	if got != want {
		w.t.Errorf("%s is %q, want %q", kind, got, want)
	}
}

func (w *world) conditions() string {
	var b strings.Builder
	for _, c := range w.td.Status.Conditions {
		b.WriteString("\n  " + c.Type + "=" + string(c.Status) + " " + c.Reason + ": " + c.Message)
	}
	return b.String()
}

// reasons lists the reasons of events, warnings with a "!" before.
func reasons(events []Event) string {
	var out []string
	for _, e := range events {
		mark := ""
		if e.Warning {
			mark = "!"
		}
		out = append(out, mark+e.Reason)
	}
	return strings.Join(out, " ")
}
