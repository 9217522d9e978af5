package dashboard

import (
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// row is a download as the list shows it, and as its own page begins. It is
// sent to browsers as JSON, by short names: a list has thousands.
type row struct {
	Namespace string `json:"ns"`
	Name      string `json:"n"`
	Torrent   string `json:"t,omitempty"`
	Claim     string `json:"claim,omitempty"`
	Tone      tone   `json:"k"`
	State     string `json:"s"`
	Message   string `json:"m,omitempty"`
	Percent   int    `json:"p"` // -1 if it is not known.
	Done      int64  `json:"done"`
	Total     int64  `json:"total"`
	Down      int64  `json:"down"`
	Up        int64  `json:"up"`
	ETA       int64  `json:"eta"` // Seconds, -1 if that can't be told.
	Peers     int    `json:"peers"`
	Seeds     int    `json:"seeds"`
	Strip     string `json:"c"` // stripCells digits, see cells.
}

// tone is the kind of state a download is in: what people filter by, and what
// gives it a colour.
type tone string

// The tones.
const (
	toneActive   tone = "active"   // It receives, or checks what is there.
	toneWaiting  tone = "waiting"  // It goes on by itself when something else is there.
	toneComplete tone = "complete" // All of it is there.
	tonePaused   tone = "paused"
	toneTrouble  tone = "trouble" // It needs a person.
)

// maxMessage is how much of a message a list shows.
const maxMessage = 300

// rowOf describes a download for the list.
func rowOf(td *v1alpha1.TorrentDownload) row { return rowOfView(td, client.Describe(td)) }

func rowOfView(td *v1alpha1.TorrentDownload, v client.View) row {
	r := row{
		Namespace: td.Namespace, Name: td.Name, Torrent: termui.Clean(td.Status.Name), Claim: claimOf(td),
		Tone: toneOf(v), State: stateOf(v), Message: clip(termui.Clean(v.Message), maxMessage),
		Percent: v.Percent, Done: v.Done, Total: v.Total, Down: v.Down, Up: v.Up, ETA: -1,
		Peers: v.Connected, Seeds: v.Seeds, Strip: cells(v.Pieces, stripCells),
	}
	if v.Total == 0 && v.Mood != client.MoodDone {
		r.Percent = -1
	}
	if v.ETA != termui.Unknown {
		r.ETA = int64((v.ETA + time.Second - 1) / time.Second)
	}
	return r
}

// claimOf names the claim in which the data is, or will be.
func claimOf(td *v1alpha1.TorrentDownload) string {
	switch {
	case td.Status.Volume.ClaimName != "":
		return td.Status.Volume.ClaimName
	case td.Spec.Volume.ClaimName != "":
		return td.Spec.Volume.ClaimName
	}
	return td.Name
}

func toneOf(v client.View) tone {
	switch v.Mood {
	case client.MoodStuck:
		return toneTrouble
	case client.MoodDone:
		return toneComplete
	case client.MoodResting:
		return tonePaused
	}
	switch v.State {
	case v1alpha1.ReasonDownloading, v1alpha1.ReasonChecking, v1alpha1.ReasonFinishing:
		return toneActive
	}
	return toneWaiting
}

// stateOf says in words how a download stands.
func stateOf(v client.View) string {
	state := words(v.State)
	if v.Reason != "" && v.Mood == client.MoodStuck {
		return words(v.Reason) // The colour says that it is stuck.
	}
	if v.State == v1alpha1.ReasonSuspended {
		return "Paused"
	}
	return state
}

// words takes a name such as ClaimNotFound apart: Claim not found.
func words(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		alone := i > 0 && unicode.IsUpper(r) && unicode.IsLower(runes[i-1])
		if alone {
			b.WriteByte(' ')
			if i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
				r = unicode.ToLower(r)
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

// clip shortens a text to at most n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// cells tells how full each of at most most stretches of pieces is, as a digit
// of base 32: its lower four bits are 0 only if nothing of it is there and 15
// only if all is, and 16 is added while a piece of it is being fetched.
func cells(p client.Pieces, most int) string {
	n := min(p.Total, most)
	if _, _, exact := p.Exact(); !exact && p.Verified != 0 && p.Verified != p.Total {
		n = min(n, 256) // As many stretches as a status tells apart.
	}
	if n <= 0 {
		return ""
	}
	const digits = "0123456789abcdefghijklmnopqrstuv"
	out := make([]byte, n)
	for i, c := range p.Cells(n) {
		d := 0
		switch {
		case c.Total > 0 && c.Have >= c.Total:
			d = 15
		case c.Have > 0:
			d = max(1, min(14, c.Have*15/c.Total))
		}
		if c.Busy > 0 && d < 15 {
			d += 16
		}
		out[i] = digits[d]
	}
	return string(out)
}

// What the first answer shows before the stream begins, in the same words as
// format.js has.

// Path is the page of the download.
func (r row) Path() string {
	return "/downloads/" + url.PathEscape(r.Namespace) + "/" + url.PathEscape(r.Name)
}

// Note is what stands beside the state: nothing for what goes on by itself, and
// for what is done.
func (r row) Note() string {
	if r.Tone == toneActive || r.Tone == toneComplete {
		return ""
	}
	return r.Message
}

// PercentText is the progress, "" if it is not known.
func (r row) PercentText() string {
	if r.Percent < 0 || r.Name == "" {
		return ""
	}
	return itoa(int64(r.Percent)) + "%"
}

// DoneText says how much of how much is there.
func (r row) DoneText() string {
	if r.Percent < 0 || r.Percent == 100 || r.Total == 0 {
		return ""
	}
	return " " + termui.Bytes(r.Done) + " of " + termui.Bytes(r.Total)
}

// SizeText is the size of the wanted files.
func (r row) SizeText() string {
	if r.Total == 0 {
		return ""
	}
	return termui.Bytes(r.Total)
}

// DownText is the rate of receiving.
func (r row) DownText() string { return rateText(r.Down) }

// UpText is the rate of sending.
func (r row) UpText() string { return rateText(r.Up) }

func rateText(n int64) string {
	if n == 0 {
		return ""
	}
	return termui.Rate(n)
}

// ETAText is the time that is left.
func (r row) ETAText() string {
	if r.ETA <= 0 {
		return ""
	}
	return termui.Duration(time.Duration(r.ETA) * time.Second)
}

// PeersText is the number of connected peers.
func (r row) PeersText() string {
	if r.Peers == 0 {
		return ""
	}
	return itoa(int64(r.Peers))
}
