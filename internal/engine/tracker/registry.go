package tracker

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// registry is the memory of a [Server]: who serves and who wants which
// torrent. It is bounded, reads no clock, and does not lock.
type registry struct {
	rand     *rand.Rand
	expiry   time.Duration // A peer that was not heard of for so long is forgotten.
	torrents map[[20]byte]*roster
	peers    int       // In all rosters.
	swept    time.Time // When all rosters were last rid of the forgotten.
}

// roster is the peers of one torrent.
type roster struct {
	byAddr    map[netip.AddrPort]*member // A client that starts anew is no second peer.
	members   []*member                  // In random order.
	perAddr   map[netip.Addr]int
	seeds     int
	completed int // Downloads that ended here.
	swept     time.Time
}

// member is one peer of a torrent.
type member struct {
	id    [20]byte
	addr  netip.AddrPort
	seed  bool
	place int // In roster.members.
	heard time.Time
}

// tally is how many peers a torrent has.
type tally struct {
	seeds, leechers, completed int
}

func newRegistry(seed uint64, expiry time.Duration) *registry {
	return &registry{rand: rand.New(rand.NewPCG(seed, 0)), expiry: expiry, torrents: map[[20]byte]*roster{}}
}

// reach says of which families a client is told peers.
type reach bool

const (
	bothKinds reach = false
	ownFamily reach = true // That of the client's own address.
)

// announce takes note of one announce and returns up to want peers for its
// sender, who is at addr. full says that there was no room to remember it.
func (g *registry) announce(now time.Time, a Announce, addr netip.AddrPort, want int, only reach) (found []*member, t tally, full bool) {
	g.sweep(now)
	r := g.torrents[a.InfoHash]
	if r == nil {
		if a.Event == Stopped {
			return nil, tally{}, false
		}
		if len(g.torrents) >= serverTorrents || g.peers >= serverPeers {
			return nil, tally{}, true
		}
		r = &roster{byAddr: map[netip.AddrPort]*member{}, perAddr: map[netip.Addr]int{}, swept: now}
		g.torrents[a.InfoHash] = r
	}
	g.sweepRoster(r, now)
	m := r.byAddr[addr]
	if m != nil {
		g.remove(r, m)
	}
	if a.Event == Stopped {
		return nil, r.tally(), false
	}
	if a.Event == Completed && (m == nil || !m.seed) {
		r.completed++
	}
	full = g.peers >= serverPeers || len(r.members) >= serverTorrentPeers || r.perAddr[addr.Addr()] >= serverAddrPeers
	if !full {
		g.add(r, &member{id: a.PeerID, addr: addr, seed: a.Left == 0, heard: now})
	}
	useful := func(m *member) bool {
		return m.id != a.PeerID && (a.Left > 0 || !m.seed) && // Seeds are of no use to a seed.
			(only == bothKinds || m.addr.Addr().Is4() == addr.Addr().Is4())
	}
	return g.choose(r, useful, want), r.tally(), full
}

// choose returns up to want useful members at random.
func (g *registry) choose(r *roster, useful func(*member) bool, want int) []*member {
	var found []*member
	for i := 0; i < len(r.members) && len(found) < want; i++ {
		r.swap(i, i+g.rand.IntN(len(r.members)-i))
		if m := r.members[i]; useful(m) {
			found = append(found, m)
		}
	}
	return found
}

// scrape returns the tally of a torrent; one that nobody announced has none.
func (g *registry) scrape(now time.Time, infoHash [20]byte) (t tally, ok bool) {
	r := g.torrents[infoHash]
	if r == nil {
		return tally{}, false
	}
	g.sweepRoster(r, now)
	return r.tally(), true
}

func (g *registry) add(r *roster, m *member) {
	m.place = len(r.members)
	r.members = append(r.members, m)
	r.byAddr[m.addr] = m
	r.perAddr[m.addr.Addr()]++
	if m.seed {
		r.seeds++
	}
	g.peers++
}

func (g *registry) remove(r *roster, m *member) {
	last := len(r.members) - 1
	r.swap(m.place, last)
	r.members[last] = nil
	r.members = r.members[:last]
	delete(r.byAddr, m.addr)
	if r.perAddr[m.addr.Addr()]--; r.perAddr[m.addr.Addr()] == 0 {
		delete(r.perAddr, m.addr.Addr())
	}
	if m.seed {
		r.seeds--
	}
	g.peers--
}

func (r *roster) swap(i, j int) {
	r.members[i], r.members[j] = r.members[j], r.members[i]
	r.members[i].place, r.members[j].place = i, j
}

func (r *roster) tally() tally {
	return tally{seeds: r.seeds, leechers: len(r.members) - r.seeds, completed: r.completed}
}

// sweep forgets, now and then, torrents and peers that were not heard of.
func (g *registry) sweep(now time.Time) {
	if now.Sub(g.swept) < g.expiry/2 {
		return
	}
	g.swept = now
	for hash, r := range g.torrents {
		g.sweepRoster(r, now)
		if len(r.members) == 0 {
			delete(g.torrents, hash)
		}
	}
}

func (g *registry) sweepRoster(r *roster, now time.Time) {
	if now.Sub(r.swept) < g.expiry/8 {
		return
	}
	r.swept = now
	for i := len(r.members) - 1; i >= 0; i-- {
		if m := r.members[i]; now.Sub(m.heard) >= g.expiry {
			g.remove(r, m)
		}
	}
}
