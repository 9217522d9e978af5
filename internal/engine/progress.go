package engine

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	crand "crypto/rand"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/selection"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
)

// PeerInfo is what a person may want to know of one connected peer.
type PeerInfo struct {
	Addr       netip.AddrPort `json:"addr"`
	Source     string         `json:"source,omitempty"` // Who told us of it: tracker, user, pex, dht; incoming if it called us; webseed of a web seed.
	Client     string         `json:"client"`           // As it says (BEP 10), or else its peer ID (BEP 20); of a web seed, scheme and host.
	Incoming   bool           `json:"incoming"`
	Seed       bool           `json:"seed"`       // It has every piece.
	UploadOnly bool           `json:"uploadOnly"` // It wants nothing, or nothing more (BEP 21).

	DownloadBytesPerSecond int64 `json:"downloadBytesPerSecond"` // From it to us.
	UploadBytesPerSecond   int64 `json:"uploadBytesPerSecond"`   // From us to it.

	AmChoking      bool `json:"amChoking"`
	AmInterested   bool `json:"amInterested"`
	PeerChoking    bool `json:"peerChoking"`
	PeerInterested bool `json:"peerInterested"`
}

// firstProgress is what is known before any file is opened.
func firstProgress(s Spec) *download.Progress {
	p := &download.Progress{
		At: time.Now(), State: download.StateResolving, Selection: s.Files.Selection(),
		BytesUploaded: s.BytesUploaded, CompletedAt: s.CompletedAt,
	}
	if s.Metainfo != nil {
		p.State = download.StateChecking
		describe(p, s.Metainfo, nil)
	}
	return p
}

// describe says which torrent it is, and how much of it is selected: nil if that
// can't be said.
func describe(p *download.Progress, m *metainfo.Metainfo, chosen *selection.Selection) {
	p.InfoHash, p.Name, p.Pieces.Length = m.InfoHash.String(), m.Info.Name, m.Info.PieceLength
	p.Private = m.Info.Private
	if chosen == nil {
		return
	}
	p.BytesTotal, p.BytesVerified = chosen.Bytes, 0
	p.Pieces = download.Pieces{
		Length: m.Info.PieceLength, Total: chosen.Pieces.Count(), Have: bitfield.New(chosen.Pieces.Count()).Bytes(),
	}
}

// amend replaces the snapshot by a changed copy.
func (t *Torrent) amend(change func(*download.Progress)) {
	t.publishing.Lock()
	p := *t.progress.Load()
	change(&p)
	p.At = time.Now()
	t.progress.Store(&p)
	t.publishing.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// checked shows how far a check of files has come.
func (t *Torrent) checked(done, total int64) {
	if p := t.Progress(); total > 0 && time.Since(p.At) >= t.engine.cfg.ProgressInterval {
		t.amend(func(p *download.Progress) { p.Checked = float64(done) / float64(total) })
	}
}

// announced is what a tracker is told. It is called from goroutines of the
// tracker session.
func (h *hub) announced() tracker.Stats {
	p := h.t.Progress()
	st := tracker.Stats{
		Uploaded:   p.BytesUploaded - h.before.BytesUploaded,
		Downloaded: p.BytesDownloaded - h.before.BytesDownloaded,
		Left:       p.BytesTotal - p.BytesVerified,
	}
	if p.InfoHash == "" {
		st.Left = unknownLeft
	}
	return st
}

// unknownLeft is how many bytes trackers are told to be missing of a torrent
// whose size is not known. It must not be 0, which is what seeds say.
const unknownLeft = 16 << 10

// meter counts what the swarm does not: bytes of selected files verified, and
// when something last moved.
type meter struct {
	info         *metainfo.Info
	selection    *selection.Selection
	verified     int64 // Bytes of selected files in verified pieces.
	lastReceived time.Time
	began        time.Time
	published    time.Time
	had          int                // How many pieces were verified when have was made.
	have         *bitfield.Bitfield // The verified pieces among those that are wanted, a bit for each of these.
}

func newMeter(info *metainfo.Info, chosen *selection.Selection, have *bitfield.Bitfield) meter {
	m := meter{info: info, selection: chosen, began: time.Now()}
	for piece := range have.All() {
		m.verified += m.payload(piece)
	}
	return m
}

// payload returns how many bytes of a piece are those of selected files, of
// which padding is none (BEP 47).
func (m *meter) payload(piece int) int64 {
	size := m.info.PieceSize(piece)
	if m.selection.Bytes == m.info.Length {
		return size
	}
	n := int64(0)
	for span := range m.info.Spans(int64(piece)*m.info.PieceLength, size) {
		if m.selection.Files.Has(span.File) {
			n += span.Length
		}
	}
	return n
}

// show makes have what is published.
func (m *meter) show(have *bitfield.Bitfield) {
	wanted := m.selection.Pieces
	switch {
	case m.have != nil && m.had == have.Count():
		return
	case wanted.IsFull():
		m.have = have.Clone()
	default:
		m.have = bitfield.New(wanted.Count())
		k := 0
		for piece := range wanted.All() {
			if have.Has(piece) {
				m.have.Set(k)
			}
			k++
		}
	}
	m.had = have.Count()
}

func (m *meter) count(events []swarm.Event, now time.Time) {
	for i := range events {
		switch e := &events[i]; {
		case e.Kind == swarm.Block:
			m.lastReceived = now
		case e.Kind == swarm.PieceDone && e.OK:
			m.verified += m.payload(int(e.Msg.Index))
		case e.Kind == swarm.PieceLost:
			m.verified -= m.payload(int(e.Msg.Index))
		}
	}
}

// publish replaces the snapshot if an interval has passed, or at once.
func (s *session) publish(now time.Time, atOnce bool) {
	if !atOnce && now.Sub(s.meter.published) < s.t.engine.cfg.ProgressInterval {
		return
	}
	s.meter.published = now
	stats := s.swarm.Stats(now)
	s.meter.show(s.swarm.Have())
	peers := s.peerInfos(now)
	s.t.peers.Store(&peers)
	s.t.amend(func(p *download.Progress) {
		p.BytesVerified = s.meter.verified
		p.BytesDownloaded, p.BytesWasted = s.before.BytesDownloaded+stats.Downloaded, s.before.BytesWasted+stats.Wasted
		p.BytesUploaded = s.before.BytesUploaded + stats.Uploaded
		p.PiecesFailed, p.PeersBanned = s.before.PiecesFailed+int64(stats.Failed), s.before.PeersBanned+int64(stats.Banned)
		p.DownloadBytesPerSecond, p.UploadBytesPerSecond = stats.DownloadRate, stats.UploadRate
		p.Pieces.Verified, p.Pieces.InProgress, p.Pieces.Have = p.Pieces.Total-s.swarm.Missing(), stats.InProgress, s.meter.have.Bytes()
		p.Peers = download.Peers{Connected: stats.Connected, Seeds: stats.Seeds, Known: stats.Known}
		p.Trackers = s.trackers.Status()
		p.WebSeeds, p.DHT, p.Disk = s.web.status(), s.dhtState(now), s.store.Load()
		if !s.meter.lastReceived.IsZero() {
			p.LastReceived = s.meter.lastReceived
		}
		if s.complete { // The meter looks back ten seconds.
			p.DownloadBytesPerSecond = 0
		}
		p.State, p.Err = s.state(now, p, &stats)
	})
}

// publishLast shows that nothing moves any more.
func (s *session) publishLast() {
	s.publish(time.Now(), true)
	s.t.peers.Store(nil)
	s.t.amend(func(p *download.Progress) {
		p.DownloadBytesPerSecond, p.UploadBytesPerSecond = 0, 0
		p.Peers.Connected, p.Peers.Seeds, p.Pieces.InProgress = 0, 0, 0
		p.Trackers, p.WebSeeds, p.DHT = nil, nil, ""
		if s.atRest() {
			p.State = download.StateComplete
		}
	})
}

// state says what the session is doing and, if it gets nowhere, why.
func (s *session) state(now time.Time, p *download.Progress, stats *swarm.Stats) (download.State, *download.Failure) {
	switch {
	case s.durable && !s.atRest():
		return download.StateSeeding, nil
	case s.complete:
		return download.StateFinishing, nil
	}
	since := s.meter.began
	if s.meter.lastReceived.After(since) {
		since = s.meter.lastReceived
	}
	if s.want.StallTimeout == 0 || now.Sub(since) < s.want.StallTimeout {
		return download.StateDownloading, nil
	}
	return download.StateStalled, s.whyStalled(p, stats)
}

func (h *hub) whyStalled(p *download.Progress, stats *swarm.Stats) *download.Failure {
	unreachable := ""
	for _, t := range p.Trackers {
		if t.LastError == "" {
			unreachable = ""
			break
		}
		unreachable = fmt.Sprintf("%s: %s", t.URL, t.LastError)
	}
	more := "trackers or peers"
	if p.Private { // It uses no trackers but its own (BEP 27).
		more = "peers"
	}
	switch {
	case stats.Banned > 0:
		return &download.Failure{
			Reason: download.ReasonCorruptPeers,
			Message: "the peers or web seeds that were found sent data that does not match the torrent and were banned; " +
				"add other " + more + ", and check that the torrent is the one that its seeders serve",
		}
	case stats.Connected <= h.links.webSeeds() && h.webSeedsFailed(p) != nil:
		return h.webSeedsFailed(p)
	case stats.Connected == 0 && unreachable != "":
		return &download.Failure{
			Reason:  download.ReasonTrackerUnreachable,
			Message: "no tracker can be reached (" + unreachable + "); check the URL and that this network may reach it, or add " + more,
		}
	case stats.Connected == 0 && h.denied.Load() != nil:
		return &download.Failure{Reason: download.ReasonAddressDenied, Message: "no peer could be connected to: " + h.denied.Load().Error()}
	case stats.Connected == 0 && stats.Filtered > 0:
		return &download.Failure{
			Reason:  download.ReasonNoPeers,
			Message: "no peer could be connected to, and some that were found are at addresses that this download's peer filter does not let; widen it, or add " + more,
		}
	case stats.Connected == 0:
		return &download.Failure{
			Reason:  download.ReasonNoPeers,
			Message: "no peer could be connected to; the torrent may have no seeders now, or their port can't be reached from here; add " + more,
		}
	default:
		return &download.Failure{
			Reason:  download.ReasonNoPeers,
			Message: "the connected peers send nothing: they lack the missing pieces or serve others first; add " + more,
		}
	}
}

func (s *session) uploaded() int64 {
	return s.before.BytesUploaded + s.swarm.Stats(time.Now()).Uploaded
}

func (s *session) peerInfos(now time.Time) []PeerInfo {
	stats := s.swarm.Peers(now)
	infos := make([]PeerInfo, len(stats))
	for i, p := range stats {
		infos[i] = PeerInfo{
			Addr: p.Addr, Source: source(&p), Client: s.clientName(&p),
			Incoming: p.Incoming, Seed: p.Complete, UploadOnly: p.UploadOnly,
			DownloadBytesPerSecond: p.DownloadRate, UploadBytesPerSecond: p.UploadRate,
			AmChoking: !p.Unchoked, AmInterested: p.Interesting,
			PeerChoking: !p.UnchokedUs, PeerInterested: p.Interested,
		}
	}
	return infos
}

// source says who told us of a peer, or that it is a web seed.
func source(p *swarm.PeerStats) string {
	if p.WebSeed {
		return "webseed"
	}
	return p.Source.String()
}

// clientName returns what a peer calls itself, or where a web seed is.
func (h *hub) clientName(p *swarm.PeerStats) string {
	switch {
	case p.Client != "":
		return p.Client
	case !p.WebSeed:
		return clientName(p.PeerID)
	}
	if l := h.links.get(p.Peer); l != nil {
		return l.name
	}
	return ""
}

// clientName returns the readable part of a peer ID: the client and version of
// an Azureus-style one, or what is printable of any other (BEP 20).
func clientName(id [20]byte) string {
	if id[0] == '-' && id[7] == '-' {
		return string(id[1:7])
	}
	n := 0
	for n < len(id) && id[n] > ' ' && id[n] < 0x7f {
		n++
	}
	return string(id[:n])
}

// partial tells the swarm which blocks of unfinished pieces are on disk.
func partial(store *disk.Store) []swarm.Partial {
	var out []swarm.Partial
	for _, p := range store.Partial() {
		out = append(out, swarm.Partial{Piece: p.Index, Blocks: p.Blocks})
	}
	return out
}

func randomSeed() uint64 {
	var b [8]byte
	crand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
