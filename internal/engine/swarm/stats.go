package swarm

import (
	"maps"
	"net/netip"
	"time"
)

// counts is what is counted over the swarm's life.
type counts struct {
	down, up                     meter
	downloaded, uploaded, wasted int64
	failed, filtered             int
	closes                       map[string]int
}

func (c *counts) closed(reason string) {
	if c.closes == nil {
		c.closes = map[string]int{}
	}
	c.closes[reason]++
}

// Stats is a snapshot of a swarm.
type Stats struct {
	Connected  int // Peers, those that are being closed not counted.
	Seeds      int // Of Connected: those that have every piece.
	Known      int // Addresses known, and peers that called us and have none.
	Filtered   int // How often an address was found that the filter does not let.
	InProgress int // Pieces begun and not verified.

	Downloaded int64 // Bytes of blocks received, wasted ones included.
	Uploaded   int64 // Bytes of blocks sent.
	Wasted     int64 // Bytes of Downloaded that came twice or were wrong.

	DownloadRate, UploadRate int64 // Bytes a second, over ten seconds.

	Failed int            // Pieces that failed their verification.
	Banned int            // Peers that are proved to have sent wrong bytes.
	Closes map[string]int // Connections closed by us, by reason.
}

// Stats returns a snapshot. It is the caller's.
func (s *Swarm) Stats(now time.Time) Stats {
	at := max(s.now, now.Sub(s.zero))
	st := Stats{
		Connected:    len(s.peers),
		Known:        len(s.pool.list),
		Filtered:     s.count.filtered,
		InProgress:   s.pick.InProgress(),
		Downloaded:   s.count.downloaded,
		Uploaded:     s.count.uploaded,
		Wasted:       s.count.wasted,
		DownloadRate: s.count.down.rate(at),
		UploadRate:   s.count.up.rate(at),
		Failed:       s.count.failed,
		Banned:       s.guilt.banned,
		Closes:       maps.Clone(s.count.closes),
	}
	for _, p := range s.peers {
		if p.pick.Complete() {
			st.Seeds++
		}
		if p.incoming && s.pool.byAddr[p.place] == nil {
			st.Known++
		}
	}
	return st
}

// PeerStats is a snapshot of one connection.
type PeerStats struct {
	Peer                     Peer
	Addr                     netip.AddrPort
	PeerID                   [20]byte
	Client                   string    // What it says of itself (BEP 10), "" if nothing.
	Source                   Source    // Who told us of it.
	Since                    time.Time // When it was connected.
	Pieces                   int       // How many it has, as far as it told.
	Incoming, Fast           bool
	WebSeed                  bool  // It is a web server, known by PeerID alone.
	UploadOnly               bool  // It wants nothing, or nothing more (BEP 21).
	Complete                 bool  // It has every piece.
	Interested, Interesting  bool  // It wants something of us; we of it.
	Unchoked, UnchokedUs     bool  // It may ask us; we may ask it.
	Snubbed                  bool  // It lets our requests wait.
	Downloaded, Uploaded     int64 // Bytes of blocks from it and to it.
	DownloadRate, UploadRate int64 // Bytes a second from it and to it, over ten seconds.
	Requests, Depth          int   // Outstanding requests to it, and how many there may be.
}

// Peers returns a snapshot of the connections, oldest first.
func (s *Swarm) Peers(now time.Time) []PeerStats {
	at := max(s.now, now.Sub(s.zero))
	out := make([]PeerStats, 0, len(s.peers))
	for _, p := range s.peers {
		out = append(out, PeerStats{
			Peer: p.id, Addr: p.addr, PeerID: p.key, Client: p.ext.Client, Source: p.source,
			Incoming: p.incoming, Fast: p.fast, WebSeed: p.web, UploadOnly: p.ext.UploadOnly,
			Since:      s.zero.Add(p.since),
			Pieces:     s.piecesOf(p),
			Complete:   p.pick.Complete(),
			Interested: p.interested, Interesting: p.interesting,
			Unchoked: p.unchoked, UnchokedUs: p.unchokedUs, Snubbed: p.snubbed,
			Downloaded: p.down.total, Uploaded: p.up.total,
			DownloadRate: p.down.rate(at), UploadRate: p.up.rate(at),
			Requests: p.requests.open, Depth: p.pipe.depth,
		})
	}
	return out
}

func (s *Swarm) piecesOf(p *peer) int {
	if p.pick.Complete() {
		return s.c.Pieces
	}
	return p.pick.Count()
}

// Active returns the pieces that are begun and not verified, in ascending order.
func (s *Swarm) Active() []uint32 { return s.pick.Active() }
