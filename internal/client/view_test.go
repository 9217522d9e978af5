package client

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

func conditions(c ...metav1.Condition) *v1alpha1.TorrentDownload {
	return &v1alpha1.TorrentDownload{Status: v1alpha1.TorrentDownloadStatus{Conditions: c}}
}

func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: reason + "!"}
}

func TestTheStateIsOneWordAndTheReasonSaysWhy(t *testing.T) {
	stalled := conditions(condition("Stalled", "True", "NoPeers"), condition("Ready", "False", "NoPeers"))
	deleting := conditions(condition("Ready", "True", "Complete"))
	deleting.DeletionTimestamp = &metav1.Time{}
	for name, c := range map[string]struct {
		td            *v1alpha1.TorrentDownload
		state, reason string
		mood          Mood
	}{
		"new":         {conditions(), "Pending", "", MoodWorking},
		"downloading": {conditions(condition("Ready", "False", "Downloading"), condition("Reconciling", "True", "Downloading")), "Downloading", "", MoodWorking},
		"stalled":     {stalled, "Stalled", "NoPeers", MoodStuck},
		"suspended":   {conditions(condition("Ready", "False", "Suspended")), "Suspended", "", MoodResting},
		"complete":    {conditions(condition("Ready", "True", "Complete"), condition("Seeding", "False", "NotSeeding")), "Complete", "", MoodDone},
		"seeding":     {conditions(condition("Ready", "True", "Complete"), condition("Seeding", "True", "Seeding")), "Seeding", "", MoodDone},
		"deleting":    {deleting, "Deleting", "Complete", MoodWorking},
	} {
		v := Describe(c.td)
		if v.State != c.state || v.Reason != c.reason || v.Mood != c.mood {
			t.Errorf("%s is %s (%q), %s; want %s (%q), %s", name, v.State, v.Reason, v.Mood, c.state, c.reason, c.mood)
		}
	}
	v := Describe(stalled)
	if v.Message != "NoPeers!" {
		t.Errorf("what a person can do is %q", v.Message)
	}
	if got := v.Conditions[0].Type + v.Conditions[1].Type; got != "ReadyStalled" {
		t.Errorf("conditions stand in the order %s", got)
	}
}

func TestNumbersAreThoseOfTheStatus(t *testing.T) {
	td := conditions(condition("Ready", "False", "Downloading"))
	td.Status.Progress = &v1alpha1.Progress{
		Percent: 42, BytesTotal: 1000, BytesVerified: 425, BytesUploaded: 7, DownloadBytesPerSecond: 90, UploadBytesPerSecond: 8, ETASeconds: 6,
	}
	td.Status.Peers = &v1alpha1.Peers{Connected: 3, Seeds: 2, Known: 9}
	v := Describe(td)
	v.Conditions = nil
	want := View{
		State: "Downloading", Message: "Downloading!", Mood: MoodWorking, Percent: 42, Done: 425, Total: 1000, Down: 90, Up: 8, Uploaded: 7,
		ETA: 6 * time.Second, Connected: 3, Seeds: 2, Seen: 9,
	}
	if d := cmp.Diff(want, v, cmp.AllowUnexported(Pieces{})); d != "" {
		t.Error(d)
	}
	td.Status.Progress.ETASeconds = 0
	if eta := Describe(td).ETA; eta != termui.Unknown {
		t.Errorf("time left that nobody can tell is %s", eta)
	}
}

func cells(p v1alpha1.Pieces, w int) []termui.Cell { return readPieces(&p).Cells(w) }

func TestABitfieldIsShownPieceByPiece(t *testing.T) {
	p := v1alpha1.Pieces{
		Total: 10, Verified: 3, Encoding: v1alpha1.PieceMapBitfield, Map: base64.StdEncoding.EncodeToString([]byte{0b1010_0000, 0b0100_0000}),
	}
	want := []termui.Cell{{Total: 2, Have: 1}, {Total: 2, Have: 1}, {Total: 2}, {Total: 2}, {Total: 2, Have: 1}}
	if d := cmp.Diff(want, cells(p, 5)); d != "" {
		t.Error(d)
	}
	if _, _, ok := readPieces(&p).Exact(); !ok {
		t.Error("a bitfield is exact")
	}
}

// The digits are rounded down, so that a reader never believes too much.
func TestBucketsNeverShowMoreThanIsThere(t *testing.T) {
	p := v1alpha1.Pieces{Total: 25600, Verified: 5000, Encoding: v1alpha1.PieceMapBuckets, Map: "0" + "1" + "7" + "e" + strings.Repeat("f", 252)}
	got := cells(p, 256)
	for i, want := range []termui.Cell{{Total: 100}, {Total: 100, Have: 1}, {Total: 100, Have: 47}, {Total: 100, Have: 94}, {Total: 100, Have: 100}} {
		if got[i] != want {
			t.Errorf("stretch %d is %+v, want %+v", i, got[i], want)
		}
	}
	if got := cells(p, 64)[0]; got != (termui.Cell{Total: 400, Have: 142}) {
		t.Errorf("four stretches are %+v", got)
	}
	if got := cells(p, 512); len(got) != 512 || got[1] != got[0] || got[9].Have != got[9].Total {
		t.Errorf("a stretch on two columns is %+v and %+v", got[0], got[1])
	}
	if _, _, ok := readPieces(&p).Exact(); ok {
		t.Error("stretches are not exact")
	}
}

func TestWithoutAMapTheCountersAreShown(t *testing.T) {
	for name, c := range map[string]struct {
		pieces v1alpha1.Pieces
		want   termui.Cell
	}{
		"nothing there":        {v1alpha1.Pieces{Total: 8}, termui.Cell{Total: 8}},
		"all there":            {v1alpha1.Pieces{Total: 8, Verified: 8}, termui.Cell{Total: 8, Have: 8}},
		"no map":               {v1alpha1.Pieces{Total: 8, Verified: 3}, termui.Cell{Total: 8, Have: 3}},
		"a map of other size":  {v1alpha1.Pieces{Total: 8, Verified: 3, Map: "AAAA", Encoding: v1alpha1.PieceMapBitfield}, termui.Cell{Total: 8, Have: 3}},
		"no base64":            {v1alpha1.Pieces{Total: 8, Verified: 3, Map: "?", Encoding: v1alpha1.PieceMapBitfield}, termui.Cell{Total: 8, Have: 3}},
		"no hexadecimal digit": {v1alpha1.Pieces{Total: 8, Verified: 3, Map: "0x", Encoding: v1alpha1.PieceMapBuckets}, termui.Cell{Total: 8, Have: 3}},
		"more than there are":  {v1alpha1.Pieces{Total: 8, Verified: 9}, termui.Cell{Total: 8, Have: 8}},
	} {
		for _, cell := range cells(c.pieces, 3) {
			if cell != c.want {
				t.Errorf("%s: %+v, want %+v", name, cell, c.want)
			}
		}
	}
	if got := cells(v1alpha1.Pieces{}, 3); got != nil {
		t.Errorf("no piece at all is %+v", got)
	}
}

func TestACloseLookTakesThePlaceOfTheStatus(t *testing.T) {
	td := conditions(condition("Ready", "False", "Downloading"))
	td.Status.Progress = &v1alpha1.Progress{Percent: 1, BytesTotal: 100}
	v := Describe(td).Closer(&download.Detail{
		Progress: download.Progress{
			BytesTotal: 100, BytesVerified: 100, DownloadBytesPerSecond: 5,
			Pieces: download.Pieces{Total: 10, Verified: 2, Have: []byte{0xc0, 0}}, Peers: download.Peers{Connected: 4},
		},
		Active: []int{2, 9, 10, -1},
	})
	if v.Percent != 99 || v.Connected != 4 || v.Down != 5 || v.ETA != 0 {
		t.Errorf("it is shown as %+v; what is not durable is not complete", v)
	}
	have, busy, ok := v.Pieces.Exact()
	if !ok || have[0] != 0xc0 || busy[0] != 0x20 || busy[1] != 0x40 {
		t.Errorf("pieces are shown as %08b and %08b", have, busy)
	}
	if v := Describe(td).Closer(&download.Detail{}); v.Percent != 1 || v.Total != 100 {
		t.Errorf("a worker that knows nothing yet makes it %+v", v)
	}
}
