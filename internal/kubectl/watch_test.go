package kubectl

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// halfway is a download that is under way.
func halfway(name string) *v1alpha1.TorrentDownload {
	return &v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, CreationTimestamp: metav1.NewTime(noon.Add(-time.Minute))},
		Spec:       v1alpha1.TorrentDownloadSpec{Volume: v1alpha1.Volume{ClaimName: "datasets"}},
		Status: v1alpha1.TorrentDownloadStatus{
			Name: name,
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionReady, Status: "False", Reason: "Downloading", Message: "Pieces are being fetched.", LastTransitionTime: metav1.NewTime(noon.Add(-30 * time.Second))},
			},
			Progress: &v1alpha1.Progress{Percent: 50, BytesTotal: 8 << 20, BytesVerified: 4 << 20, DownloadBytesPerSecond: 1 << 20, ETASeconds: 4},
			Pieces:   &v1alpha1.Pieces{Total: 8, Verified: 4, Length: 1 << 20, Encoding: v1alpha1.PieceMapBitfield, Map: base64.StdEncoding.EncodeToString([]byte{0b11010010})},
			Peers:    &v1alpha1.Peers{Connected: 3, Seeds: 2},
			Volume:   v1alpha1.VolumeStatus{ClaimName: "datasets"},
		},
	}
}

// stuck is a download that needs a person.
func stuck(name string) *v1alpha1.TorrentDownload {
	td := halfway(name)
	td.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: "False", Reason: "NoPeers", Message: "Add trackers or peers."},
		{Type: v1alpha1.ConditionStalled, Status: "True", Reason: "NoPeers", Message: "Add trackers or peers."},
	}
	td.Status.Progress.DownloadBytesPerSecond, td.Status.Progress.ETASeconds = 0, 0
	return td
}

func complete(name string) *v1alpha1.TorrentDownload {
	td := halfway(name)
	td.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: "True", Reason: "Complete"}}
	td.Status.Progress = &v1alpha1.Progress{Percent: 100, BytesTotal: 8 << 20, BytesVerified: 8 << 20}
	td.Status.Pieces = &v1alpha1.Pieces{Total: 8, Verified: 8}
	return td
}

// shown are downloads as they are watched.
func shown(names []string, tds ...*v1alpha1.TorrentDownload) []entry {
	all := client.Downloads{}
	for _, td := range tds {
		all[types.NamespacedName{Namespace: td.Namespace, Name: td.Name}] = td
	}
	return entries(all, names, newCloser(context.Background(), nil, nil))
}

// onScreen is a board on a terminal of a size, and what is written to it.
func onScreen(out *strings.Builder, columns, rows int, w watched) *board {
	b := newBoard(out, w, func() time.Time { return noon })
	b.screen = &terminal.Screen{Out: out, Width: func() int { return columns }, Height: func() int { return rows }}
	return b
}

func TestEachDownloadIsDrawnWithItsPieces(t *testing.T) {
	var out strings.Builder
	b := onScreen(&out, 49, 24, watched{query: client.Query{Namespace: "ml"}})
	if b.show(shown(nil, stuck("zoo"), halfway("imagenet"))) {
		t.Error("watching all is over")
	}
	want := `imagenet
` + strings.Repeat("█", 24) + strings.Repeat(" ", 24) + `
Downloading  50%  down 1.0MiB/s  4s left
████████████······██████············██████······

zoo: Stalled (NoPeers)
` + strings.Repeat("█", 24) + strings.Repeat(" ", 24) + `
50%  down 0B/s  time left unknown
████████████······██████············██████······
Add trackers or peers.
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	out.Reset()
	b.show(shown(nil, stuck("zoo"), halfway("imagenet")))
	if out.Len() > 0 {
		t.Errorf("nothing has changed, and it is drawn again: %q", out.String())
	}
}

func TestABoardFitsTheWindow(t *testing.T) {
	var many []*v1alpha1.TorrentDownload
	for i := range 30 {
		many = append(many, halfway(fmt.Sprintf("dataset-%02d", i)))
	}
	for _, size := range [][2]int{{1, 1}, {1, 3}, {20, 5}, {80, 24}, {200, 100}} {
		for _, n := range []int{0, 1, 3, 30} {
			var out strings.Builder
			onScreen(&out, size[0], size[1], watched{}).show(shown(nil, many[:n]...))
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) > max(1, size[1]-1) {
				t.Errorf("%d downloads take %d lines of %d", n, len(lines), size[1])
			}
			for _, l := range lines {
				if termui.Columns(l) > max(1, size[0]-1) {
					t.Errorf("%d downloads on %d columns: %q", n, size[0], l)
				}
			}
			if n == 30 && size[1] == 24 && lines[22] != "and 8 more" {
				t.Errorf("the last line is %q", lines[22])
			}
		}
	}
}

func TestWatchingEndsWhenAllThatWereNamedAreComplete(t *testing.T) {
	names := []string{"b", "a"}
	var out strings.Builder
	b := newBoard(&out, watched{query: client.Query{Namespace: "ml"}, names: names}, func() time.Time { return noon })
	if b.show(shown(names, halfway("a"), complete("b"), halfway("c"))) {
		t.Error("one is not complete, and it is over")
	}
	if !b.show(shown(names, complete("a"), complete("b"))) {
		t.Error("all are complete, and it is not over")
	}
	if !b.show(shown(names, complete("b"))) {
		t.Error("one is complete and one gone, and it is not over")
	}
	want := `b: Complete  100%  8.0MiB of 8.0MiB  3 peers (2 seeds)  8/8 pieces
a: Downloading  50%  4.0MiB of 8.0MiB  down 1.0MiB/s  4s left  3 peers (2 seeds)  4/8 pieces
a: Complete  100%  8.0MiB of 8.0MiB  3 peers (2 seeds)  8/8 pieces
a: Deleted
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestPlainLinesSayWhyADownloadIsStuck(t *testing.T) {
	var out strings.Builder
	b := newBoard(&out, watched{}, func() time.Time { return noon })
	b.show(shown(nil, stuck("zoo")))
	if got := out.String(); !strings.HasPrefix(got, "ml/zoo: Stalled (NoPeers)  50%") || !strings.HasSuffix(got, ": Add trackers or peers.\n") {
		t.Errorf("it says %q", got)
	}
}

func TestACloseLookIsShownUntilItsPodIsAnother(t *testing.T) {
	td := halfway("a")
	td.Status.Worker.PodName = "pod-1"
	key := types.NamespacedName{Namespace: "ml", Name: "a"}
	c := newCloser(t.Context(), nil, make(chan struct{}, 1))
	c.pods[key] = "pod-1"
	d := &download.Detail{Progress: download.Progress{BytesTotal: 8 << 20, BytesVerified: 6 << 20}}
	if !c.keep(key, "pod-1", d) {
		t.Error("a look was not kept")
	}
	all := client.Downloads{key: td}
	if got := entries(all, nil, c)[0].view.Percent; got != 75 {
		t.Errorf("it is shown as %d%%", got)
	}
	td.Status.Worker.PodName = ""
	c.follow(all, []string{"a"})
	if got := entries(all, nil, c)[0].view.Percent; got != 50 {
		t.Errorf("without a Pod it is shown as %d%%", got)
	}
	if c.keep(key, "pod-1", d) {
		t.Error("a look into the Pod before was kept")
	}
}
