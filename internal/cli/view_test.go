package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// halfway is a download at half of its way.
func halfway() download.Progress {
	return download.Progress{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), State: download.StateDownloading,
		InfoHash: "abc", Name: "dataset", BytesTotal: 100 << 20, BytesVerified: 50 << 20, DownloadBytesPerSecond: 5 << 20,
		Pieces: download.Pieces{Length: 12 << 20, Total: 8, Verified: 4, InProgress: 1, Have: []byte{0xf0}},
		Peers:  download.Peers{Connected: 3, Seeds: 1, Known: 9},
		Trackers: []download.Tracker{
			{URL: "http://t.example", Seeds: 4, Peers: -1, NextAnnounce: time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)},
			{URL: "udp://u.example", LastError: "not supported", Seeds: -1, Peers: -1},
		},
	}
}

func TestPlainLinesComeCalmly(t *testing.T) {
	var out strings.Builder
	v := &lineView{terminal.Lines{Out: &out}}
	p := halfway()
	for range 25 { // Seconds.
		next := p
		v.show(&next, nil, false)
		p.At = p.At.Add(time.Second)
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines in 25 seconds, want 3:\n%s", got, out.String())
	}
	out.Reset()
	p.State, p.Err = download.StateStalled, &download.Failure{Reason: "NoPeers", Message: "no peer could be\nconnected to"}
	v.show(&p, nil, false)
	v.show(&p, nil, false)
	p.State, p.Err = download.StateDownloading, nil
	v.show(&p, nil, false)
	v.show(&p, nil, true) // Nothing new to say.
	p.BytesVerified += 1 << 20
	v.show(&p, nil, true)
	p.State = download.StateFailed // That is the command's to say.
	v.show(&p, nil, true)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "Stalled  50%  50.0MiB of 100MiB") || !strings.HasSuffix(lines[0], ": no peer could be connected to") ||
		!strings.HasPrefix(lines[1], "Downloading") {
		t.Errorf("lines:\n%s", out.String())
	}
}

func TestACheckShowsHowFarItHasCome(t *testing.T) {
	var out strings.Builder
	p := halfway()
	p.State, p.Checked = download.StateChecking, 0.5
	(&lineView{terminal.Lines{Out: &out}}).show(&p, nil, false)
	if got := out.String(); got != "Checking what is there: 50%\n" {
		t.Errorf("%q", got)
	}
}

func TestAScreenIsRedrawnInPlaceAndNeverTooWide(t *testing.T) {
	ansi := regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")
	for _, width := range []int{1, 10, 40, 80, 300} {
		var out strings.Builder
		v := &screenView{screen: &terminal.Screen{Out: &out, Style: termui.Style{Color: true}, Width: func() int { return width }}}
		p := halfway()
		v.show(&p, nil, false)
		first := out.String()
		out.Reset()
		p.Err = &download.Failure{Message: "no peer could be connected to"}
		v.show(&p, nil, false)
		if want := "\x1b[4A\x1b[J"; !strings.HasPrefix(out.String(), want) || strings.HasPrefix(first, "\x1b[4A") {
			t.Errorf("the second drawing begins with %.20q", out.String())
		}
		if got := strings.Count(out.String(), "\n"); got != 5 {
			t.Errorf("%d lines, want 5", got)
		}
		for line := range strings.Lines(ansi.ReplaceAllString(first+out.String(), "")) {
			if n := termui.Columns(strings.TrimSuffix(line, "\n")); n > max(1, width-1) {
				t.Errorf("%d columns on a terminal of %d: %q", n, width, line)
			}
		}
	}
}

func TestHashingIsShownAtABearablePace(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	s := &terminal.Screen{Out: &out, Width: func() int { return 60 }}
	show := hashing(s, func() time.Time { return now })
	for i := range int64(100) {
		now = now.Add(10 * time.Millisecond)
		show(i<<20, 100<<20)
	}
	if got := strings.Count(out.String(), "\n"); got != 10 {
		t.Errorf("%d drawings in a second, want 10", got)
	}
	if !strings.Contains(out.String(), "hashed") {
		t.Errorf("%q", out.String())
	}
}

func TestJSONHasTheFullDetail(t *testing.T) {
	var out strings.Builder
	v := &jsonView{out: json.NewEncoder(&out)}
	p := halfway()
	v.show(&p, []engine.PeerInfo{{Addr: netip.MustParseAddrPort("10.0.0.1:6881")}}, false)
	v.show(&p, nil, true) // Nothing new to say.
	q := p
	q.State, q.DownloadBytesPerSecond = download.StateFailed, 0
	q.Err = &download.Failure{Reason: download.ReasonVolumeError, Message: "broken", Permanent: true}
	v.show(&q, nil, true)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	var first, second map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &second); err != nil {
		t.Fatal(err)
	}
	trackers := first["trackers"].([]any)
	for what, pair := range map[string][2]any{
		"time":     {first["time"], "2026-01-02T03:04:05Z"},
		"state":    {first["state"], "Downloading"},
		"eta":      {first["etaSeconds"], 10.0},
		"have":     {first["pieces"].(map[string]any)["have"], base64.StdEncoding.EncodeToString([]byte{0xf0})},
		"known":    {first["peers"].(map[string]any)["known"], 9.0},
		"peer":     {first["connections"].([]any)[0].(map[string]any)["addr"], "10.0.0.1:6881"},
		"tracker":  {fmt.Sprint(trackers[0]), "map[nextAnnounce:2026-01-02T03:05:00Z seeds:4 url:http://t.example]"},
		"tracker2": {fmt.Sprint(trackers[1]), "map[lastError:not supported url:udp://u.example]"},
		"no error": {first["error"], nil},
		"error":    {fmt.Sprint(second["error"]), "map[message:broken permanent:true reason:VolumeError]"},
		"no eta":   {second["etaSeconds"], nil},
		"no peers": {fmt.Sprint(second["connections"]), "[]"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestEachFailureHasItsExitCode(t *testing.T) {
	for reason, want := range map[string]exitCode{
		download.ReasonMetainfoInvalid: exitTorrent, download.ReasonUnsupportedTorrent: exitTorrent,
		download.ReasonPathConflict: exitFiles, download.ReasonVolumeReadOnly: exitFiles, download.ReasonVolumeBusy: exitFiles, download.ReasonVolumeError: exitFiles,
		download.ReasonInsufficientSpace: exitSpace, download.ReasonInternalError: exitFailure,
	} {
		p := download.Progress{State: download.StateFailed, Err: &download.Failure{Reason: reason, Message: "why"}}
		if err := ending(&p); codeOf(err) != want || err.Error() != "why" {
			t.Errorf("%s: %v, exit code %d, want %d", reason, err, codeOf(err), want)
		}
	}
	p := halfway()
	if err := ending(&p); codeOf(err) != exitStopped || !strings.Contains(err.Error(), "stopped at 50%") {
		t.Errorf("%v", err)
	}
	p.CompletedAt, p.BytesVerified, p.State = p.At, p.BytesTotal, download.StateSeeding
	if err := ending(&p); err != nil {
		t.Errorf("a complete download that stops seeding: %v", err)
	}
}

func TestALinkWithoutItsMetadataSaysWhoIsAsked(t *testing.T) {
	p := &download.Progress{State: download.StateResolving, Peers: download.Peers{Connected: 3}}
	if got := transfer(p).State; got != "Asking peers what the torrent is: 3 connected" {
		t.Errorf("it says %q", got)
	}
}
