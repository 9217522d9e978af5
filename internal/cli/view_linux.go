package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/terminal"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// view shows a download to whoever watches. show is called with each new
// snapshot, one at a time; the last call has last set.
type view interface {
	show(p *download.Progress, peers []engine.PeerInfo, last bool)
}

// transfer is a snapshot as a line of figures.
func transfer(p *download.Progress) termui.Transfer {
	if p.State == download.StateChecking {
		return termui.Transfer{State: fmt.Sprintf("Checking what is there: %d%%", int(p.Checked*100))}
	}
	if p.State == download.StateResolving {
		return termui.Transfer{State: fmt.Sprintf("Asking peers what the torrent is: %d connected", p.Peers.Connected)}
	}
	return termui.Transfer{
		State: string(p.State), Done: p.BytesVerified, Total: p.BytesTotal,
		Down: p.DownloadBytesPerSecond, Up: p.UploadBytesPerSecond,
		ETA:   termui.ETA(p.BytesTotal-p.BytesVerified, p.DownloadBytesPerSecond),
		Peers: p.Peers.Connected, Seeds: p.Peers.Seeds,
		Pieces: p.Pieces.Total, Pieced: p.Pieces.Verified,
	}
}

// named returns a snapshot that has a name for a person.
func named(p *download.Progress, name string) *download.Progress {
	if p.Name != "" {
		return p
	}
	q := *p
	q.Name = name
	return &q
}

// screenView redraws a download in place on a terminal.
type screenView struct {
	screen *terminal.Screen
	name   string // Until the torrent's own is known.
}

func (v *screenView) show(p *download.Progress, _ []engine.PeerInfo, _ bool) {
	p = named(p, v.name)
	s := v.screen
	w := max(1, s.Width()-1) // The last column makes some terminals wrap.
	lines := []string{
		termui.Fit(s.Style, p.Name, w),
		termui.Bar(s.Style, w, p.BytesVerified, p.BytesTotal),
		termui.Line(s.Style, w, transfer(p)),
		termui.Strip(s.Style, termui.Fold(p.Pieces.Total, p.Pieces.Have, nil, w)),
	}
	if p.Err != nil && p.State != download.StateFailed {
		lines = append(lines, termui.Fit(s.Style, p.Err.Message, w))
	}
	s.Draw(lines...)
}

// lineView writes plain lines.
type lineView struct{ terminal.Lines }

func (v *lineView) show(p *download.Progress, _ []engine.PeerInfo, last bool) {
	if p.State == download.StateFailed {
		return // The command's error says it.
	}
	m := terminal.Moment{At: p.At, Transfer: transfer(p), State: string(p.State), Last: last}
	if p.Err != nil {
		m.Cause = p.Err.Message
	}
	v.Show(m)
}

// jsonView writes each snapshot as one JSON object on a line, and none twice.
type jsonView struct {
	out   *json.Encoder
	wrote *download.Progress
}

func (v *jsonView) show(p *download.Progress, peers []engine.PeerInfo, _ bool) {
	if p == v.wrote {
		return
	}
	v.wrote = p
	v.out.Encode(snapshot(p, peers)) //nolint:errcheck // Whoever reads it is gone; the download goes on.
}

// jsonProgress is a snapshot for a program. Times are RFC 3339 and left out
// when they are not known.
type jsonProgress struct {
	Time                   time.Time         `json:"time"`
	State                  download.State    `json:"state"`
	InfoHash               string            `json:"infoHash"`
	Name                   string            `json:"name"`
	BytesTotal             int64             `json:"bytesTotal"`
	BytesVerified          int64             `json:"bytesVerified"`
	BytesDownloaded        int64             `json:"bytesDownloaded"`
	BytesWasted            int64             `json:"bytesWasted"`
	BytesUploaded          int64             `json:"bytesUploaded"`
	DownloadBytesPerSecond int64             `json:"downloadBytesPerSecond"`
	UploadBytesPerSecond   int64             `json:"uploadBytesPerSecond"`
	ETASeconds             *int64            `json:"etaSeconds,omitempty"`
	Checked                float64           `json:"checked,omitempty"` // Share of the data looked at while Checking.
	Pieces                 jsonPieces        `json:"pieces"`
	Peers                  jsonPeers         `json:"peers"`
	Connections            []engine.PeerInfo `json:"connections"`
	Trackers               []jsonTracker     `json:"trackers"`
	WebSeeds               []jsonWebSeed     `json:"webSeeds,omitempty"`
	LastReceived           *time.Time        `json:"lastReceived,omitempty"`
	CompletedAt            *time.Time        `json:"completedAt,omitempty"`
	Error                  *jsonError        `json:"error,omitempty"`
}

type jsonPieces struct {
	Length     int64  `json:"length"`
	Total      int    `json:"total"`
	Verified   int    `json:"verified"`
	InProgress int    `json:"inProgress"`
	Have       []byte `json:"have"` // Bitfield in the bit order of BEP 3, base64.
}

type jsonPeers struct {
	Connected int `json:"connected"`
	Seeds     int `json:"seeds"`
	Known     int `json:"known"`
}

type jsonTracker struct {
	URL          string     `json:"url"` // Scheme and host: the rest may be a secret.
	LastError    string     `json:"lastError,omitempty"`
	NextAnnounce *time.Time `json:"nextAnnounce,omitempty"`
	Seeds        *int       `json:"seeds,omitempty"`
	Peers        *int       `json:"peers,omitempty"`
}

type jsonWebSeed struct {
	URL       string     `json:"url"` // Scheme and host: the rest may be a secret.
	LastError string     `json:"lastError,omitempty"`
	NextTry   *time.Time `json:"nextTry,omitempty"`
}

type jsonError struct {
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Permanent bool   `json:"permanent"`
}

func snapshot(p *download.Progress, peers []engine.PeerInfo) jsonProgress {
	j := jsonProgress{
		Time: p.At.UTC(), State: p.State, InfoHash: p.InfoHash, Name: p.Name,
		BytesTotal: p.BytesTotal, BytesVerified: p.BytesVerified, BytesDownloaded: p.BytesDownloaded,
		BytesWasted: p.BytesWasted, BytesUploaded: p.BytesUploaded,
		DownloadBytesPerSecond: p.DownloadBytesPerSecond, UploadBytesPerSecond: p.UploadBytesPerSecond,
		Checked: p.Checked,
		Pieces: jsonPieces{
			Length: p.Pieces.Length, Total: p.Pieces.Total, Verified: p.Pieces.Verified,
			InProgress: p.Pieces.InProgress, Have: p.Pieces.Have,
		},
		Peers:       jsonPeers{p.Peers.Connected, p.Peers.Seeds, p.Peers.Known},
		Connections: append([]engine.PeerInfo{}, peers...), Trackers: []jsonTracker{},
		LastReceived: known(p.LastReceived), CompletedAt: known(p.CompletedAt),
	}
	if eta := termui.ETA(p.BytesTotal-p.BytesVerified, p.DownloadBytesPerSecond); eta != termui.Unknown {
		seconds := int64(eta.Round(time.Second) / time.Second)
		j.ETASeconds = &seconds
	}
	for _, t := range p.Trackers {
		j.Trackers = append(j.Trackers, jsonTracker{
			URL: t.URL, LastError: t.LastError, NextAnnounce: known(t.NextAnnounce), Seeds: said(t.Seeds), Peers: said(t.Peers),
		})
	}
	for _, w := range p.WebSeeds {
		j.WebSeeds = append(j.WebSeeds, jsonWebSeed{w.URL, w.LastError, known(w.NextTry)})
	}
	if p.Err != nil {
		j.Error = &jsonError{p.Err.Reason, p.Err.Message, p.Err.Permanent}
	}
	return j
}

// known returns a time unless it is zero.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// said returns a count unless the tracker did not say it.
func said(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}
