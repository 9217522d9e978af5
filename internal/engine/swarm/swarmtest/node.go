package swarmtest

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	fetching "github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

const (
	mib         = 1 << 20
	hashTime    = 2 * time.Millisecond   // A piece from whole to verified.
	dialTimeout = 5 * time.Second        // A dial to where nobody is.
	announceMin = 10 * time.Second       // Between two announces of a node.
	announceGap = 2 * time.Minute        // At the latest.
	resend      = 200 * time.Millisecond // A retransmission.
)

// node is one peer: its swarm, its disk and its side of all connections.
type node struct {
	w       *World
	index   int
	c       Node
	addr    netip.AddrPort
	key     [20]byte
	config  swarm.Config
	swarm   *swarm.Swarm
	disk    disk
	left    bool
	learned bool // It was resolving, and has the info dictionary.

	ends   []*end // Open connections.
	byID   map[swarm.Peer]*end
	nextID swarm.Peer

	inbox     []swarm.Event
	flushing  bool // A call of Handle is planned for now.
	wake      time.Duration
	announced time.Duration
	asked     bool // An announce is planned.

	sending  bool // A block is on its way out.
	turn     int  // Whose turn it is in ends.
	blocks   int  // Sent.
	sent     int64
	downFree time.Duration

	shuns                    map[netip.Addr]bool // Whole addresses.
	banned, deceived, misled map[int]bool
}

func newNode(w *World, i int, c Node) *node {
	if c.Up == 0 {
		c.Up = mib
	}
	if c.Down == 0 {
		c.Down = mib
	}
	if c.Latency == 0 {
		c.Latency = 10 * time.Millisecond
	}
	if !c.IP.IsValid() {
		c.IP = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	n := &node{
		w: w, index: i, c: c,
		addr:   netip.AddrPortFrom(c.IP, uint16(6881+i)),
		byID:   map[swarm.Peer]*end{},
		banned: map[int]bool{}, deceived: map[int]bool{}, misled: map[int]bool{}, shuns: map[netip.Addr]bool{},
	}
	copy(n.key[:], fmt.Sprintf("-TO0000-node%08d", w.rng.IntN(1e8)))
	binary.BigEndian.PutUint16(n.key[18:], uint16(i))
	have := bitfield.New(w.c.Pieces)
	if c.Complete {
		have.SetAll()
	}
	n.disk = newDisk(w.c, have)
	n.config = swarm.Config{
		Pieces: w.c.Pieces, PieceLength: w.c.PieceLength, Length: w.c.Length,
		PeerID: n.key, Port: n.addr.Port(), Client: "swarmtest",
		Have: have.Clone(), Seed: w.rng.Uint64(), MaxPeers: c.MaxPeers,
		DownloadLimit: c.Limit, Wanted: c.Wants, Sequential: c.Sequential,
	}
	if w.metadata != nil {
		n.config.Metadata, n.config.InfoHash = w.metadata, sha1.Sum(w.metadata)
	}
	if c.Resolves {
		n.config.Room = fetching.NewBudget(8*fetching.MaxSmall, fetching.MaxSize).Share()
		n.swarm = swarm.NewResolving(start.Add(c.Starts), n.config)
	} else {
		n.swarm = swarm.New(start.Add(c.Starts), n.config)
	}
	return n
}

func (n *node) begin() {
	n.announce()
	n.handle()
}

// happens puts an event into the inbox. All events of one instant are handled
// in one call.
func (n *node) happens(e swarm.Event) {
	n.inbox = append(n.inbox, e)
	if !n.flushing {
		n.flushing = true
		n.w.after(0, n.handle)
	}
}

// handle is the node's one call of Handle.
func (n *node) handle() {
	n.flushing = false
	if n.left {
		return
	}
	events := n.inbox
	n.inbox = nil
	fx := n.swarm.Handle(start.Add(n.w.now), events)
	n.w.record(n, fx)
	n.carryOut(fx)
	n.inbox = append(events[:0], n.inbox...)
	if fx.Info != nil {
		n.resolved(fx.Info)
	}
}

// carryOut does what the effects say, in their order.
func (n *node) carryOut(fx *swarm.Effects) {
	for _, c := range fx.Close {
		if e := n.byID[c.Peer]; e != nil {
			if c.Reason == swarm.ReasonBanned {
				n.banned[e.other.node.index] = true
			}
			e.shut()
		}
	}
	for _, a := range fx.Ban {
		n.shuns[a] = true
	}
	for _, s := range fx.Send {
		if e := n.byID[s.Peer]; e != nil {
			n.check(e, &s.Msg)
			e.send(s.Msg)
		}
	}
	for _, s := range fx.Unsend {
		if e := n.byID[s.Peer]; e != nil {
			e.unsend(s.Msg)
		}
	}
	n.transmit()
	for _, f := range fx.Finish {
		n.w.after(hashTime, func() { n.verify(f) })
	}
	for _, a := range fx.Dial {
		n.dial(a)
	}
	if fx.NeedPeers && !n.asked {
		n.asked = true
		n.w.at(max(n.w.now, n.announced+announceMin), n.announce)
	}
	n.sleep(fx.Wake.Sub(start))
}

// sleep plans the call that the swarm wants.
func (n *node) sleep(wake time.Duration) {
	if wake <= n.w.now {
		n.w.fail("node %d wants to be called at %v", n.index, wake)
	}
	if wake == n.wake {
		return
	}
	n.wake = wake
	n.w.at(wake, func() {
		if n.wake == wake {
			n.handle()
		}
	})
}

// check holds what must be true of all that a node sends.
func (n *node) check(e *end, m *wire.Message) {
	switch m.ID {
	case wire.Have, wire.Piece:
		if !n.disk.verified.Has(int(m.Index)) {
			n.w.fail("node %d sent message %d of piece %d, which is not verified", n.index, m.ID, m.Index)
		}
	case wire.Request:
		e.asked[blockKey{m.Index, m.Begin}]++
		if e.out++; e.out > 1024 {
			n.w.fail("node %d has %d requests at node %d", n.index, e.out, e.other.node.index)
		}
	case wire.Cancel:
		e.out--
	}
}

// verify is the end of a piece's hashing.
func (n *node) verify(f swarm.Finish) {
	ok, digests := n.disk.verify(f.Piece)
	e := swarm.Event{Kind: swarm.PieceDone, OK: ok, Msg: wire.Message{Index: f.Piece}}
	if f.Digests || !ok {
		e.Digests = digests
	}
	n.happens(e)
}

// announce asks the tracker for addresses.
func (n *node) announce() {
	if n.left {
		return
	}
	n.asked = false
	n.announced = n.w.now
	var found []netip.AddrPort
	for _, i := range n.w.rng.Perm(len(n.w.nodes)) {
		if n.w.c.OnlyFirst && i != 0 {
			continue
		}
		if o := n.w.nodes[i]; !o.left && o.c.Starts <= n.w.now && len(found) < n.w.c.Addresses {
			found = append(found, o.addr)
		}
	}
	n.happens(swarm.Event{Kind: swarm.Found, Addrs: found})
	at := n.w.now
	n.w.after(announceGap, func() {
		if n.announced == at {
			n.announce()
		}
	})
}

// disk is what a node has stored. A block's content is one number.
type disk struct {
	c        Config
	verified *bitfield.Bitfield
	pieces   map[uint32][]uint64 // Blocks in place, 0 for none. Never iterated over.
	hashing  map[uint32]bool
}

func newDisk(c Config, have *bitfield.Bitfield) disk {
	return disk{c: c, verified: have, pieces: map[uint32][]uint64{}, hashing: map[uint32]bool{}}
}

// truth is the right content of a block.
func truth(b blockKey) uint64 { return uint64(b.index)<<32 | uint64(b.begin) | 1 }

func (d *disk) blocks(piece uint32) int {
	size := min(d.c.PieceLength, d.c.Length-int64(piece)*d.c.PieceLength)
	return int((size + blockSize - 1) / blockSize)
}

// place stores a block unless it is there already.
func (d *disk) place(b blockKey, content uint64) (fresh bool) {
	if d.verified.Has(int(b.index)) || d.hashing[b.index] {
		return false
	}
	p := d.pieces[b.index]
	if p == nil {
		p = make([]uint64, d.blocks(b.index))
		d.pieces[b.index] = p
	}
	i := b.begin / blockSize
	if p[i] != 0 {
		return false
	}
	p[i] = content
	return true
}

// verify compares a whole piece with the truth, and forgets it.
func (d *disk) verify(piece uint32) (ok bool, digests []uint64) {
	p := d.pieces[piece]
	delete(d.pieces, piece)
	ok = len(p) > 0
	for i, content := range p {
		ok = ok && content == truth(blockKey{piece, uint32(i) * blockSize})
	}
	if ok {
		d.verified.Set(int(piece))
	}
	return ok, p
}
