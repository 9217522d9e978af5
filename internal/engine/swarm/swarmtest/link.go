package swarmtest

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

const blockSize = block.Size

type blockKey struct{ index, begin uint32 }

// end is one node's side of a connection.
type end struct {
	node  *node
	id    swarm.Peer
	other *end
	open  bool

	queue   []wire.Message // Blocks promised and not begun.
	arrives time.Duration  // When the last message gets to the other side: none overtakes another.
	asked   map[blockKey]int
	out     int // Requests without an answer.
}

// dial connects to an address, or finds that nobody is there.
func (n *node) dial(addr netip.AddrPort) {
	w := n.w
	var to *node
	for _, o := range w.nodes {
		if o.addr == addr && !o.left && o.c.Starts <= w.now {
			to = o
		}
	}
	if to == nil {
		w.after(dialTimeout, func() { n.happens(swarm.Event{Kind: swarm.DialFailed, Addr: addr}) })
		return
	}
	delay := 2 * (n.c.Latency + to.c.Latency)
	w.after(delay, func() {
		if n.left || to.left {
			n.happens(swarm.Event{Kind: swarm.DialFailed, Addr: addr})
			return
		}
		a, b := n.connect(), to.connect()
		a.other, b.other = b, a
		fast := !n.c.Plain && !to.c.Plain
		n.happens(swarm.Event{Kind: swarm.Connected, Peer: a.id, Addr: addr, PeerID: to.key, Fast: fast, Extended: true})
		to.happens(swarm.Event{Kind: swarm.Connected, Peer: b.id, Addr: w.address(n), PeerID: n.key, Fast: fast, Extended: true, Incoming: true})
		if w.c.Break > 0 {
			life := time.Duration(float64(w.c.Break) * -math.Log(1-w.rng.Float64()))
			w.after(life, a.shut)
		}
	})
}

func (n *node) connect() *end {
	n.nextID++
	e := &end{node: n, id: n.nextID, open: true, asked: map[blockKey]int{}}
	n.ends = append(n.ends, e)
	n.byID[e.id] = e
	return e
}

// shut ends a connection on this side now, and on the other when it hears of it.
func (e *end) shut() {
	if !e.open {
		return
	}
	e.gone()
	w := e.node.w
	w.after(e.node.c.Latency+e.other.node.c.Latency, e.other.gone)
}

func (e *end) gone() {
	if !e.open {
		return
	}
	e.open, e.queue = false, nil
	n := e.node
	delete(n.byID, e.id)
	for i, o := range n.ends {
		if o == e {
			n.ends = append(n.ends[:i], n.ends[i+1:]...)
			break
		}
	}
	n.happens(swarm.Event{Kind: swarm.Gone, Peer: e.id})
}

// travel plans what happens when a message gets to the other side.
func (e *end) travel(do func()) {
	w := e.node.w
	delay := e.node.c.Latency + e.other.node.c.Latency
	if w.c.Loss > 0 && w.rng.Float64() < w.c.Loss {
		delay += resend
	}
	e.arrives = max(e.arrives, w.now+delay)
	w.at(e.arrives, do)
}

// send has a message travel, or a block wait for its turn.
func (e *end) send(m wire.Message) {
	if m.ID == wire.Piece {
		e.queue = append(e.queue, m)
		return
	}
	to := e.other
	if m.ID == wire.Extended && m.Length > 0 {
		e.node.happens(swarm.Event{Kind: swarm.Sent, Peer: e.id, Msg: m})
	}
	m, lie := e.node.distort(m)
	e.travel(func() {
		if !to.open {
			return
		}
		if lie && !to.node.learned {
			to.node.misled[e.node.index] = true
		}
		if m.ID == wire.Reject {
			to.out--
		}
		to.node.happens(swarm.Event{Kind: swarm.Received, Peer: to.id, Msg: m})
	})
}

func (e *end) unsend(m wire.Message) {
	for i, q := range e.queue {
		if q.Index == m.Index && q.Begin == m.Begin && q.Length == m.Length {
			e.queue = append(e.queue[:i], e.queue[i+1:]...)
			return
		}
	}
}

// transmit sends the next block, of each connection in turn.
func (n *node) transmit() {
	if n.sending || n.c.StallAfter > 0 && n.blocks >= n.c.StallAfter {
		return
	}
	for range n.ends {
		n.turn++
		e := n.ends[n.turn%len(n.ends)]
		if len(e.queue) == 0 {
			continue
		}
		m := e.queue[0]
		e.queue = e.queue[1:]
		n.sending = true
		took := time.Duration(int64(m.Length) * int64(time.Second) / n.c.Up)
		n.w.after(took, func() {
			n.sending = false
			if e.open {
				n.leaves(e, m)
			}
			n.transmit()
		})
		return
	}
}

// leaves is the end of a block's sending.
func (n *node) leaves(e *end, m wire.Message) {
	w := n.w
	w.Sent += int64(m.Length)
	n.sent += int64(m.Length)
	n.blocks++
	n.happens(swarm.Event{Kind: swarm.Sent, Peer: e.id, Msg: m})
	content := truth(blockKey{m.Index, m.Begin})
	if n.c.Lies > 0 && w.rng.Float64() < n.c.Lies {
		content ^= 1<<63 | w.rng.Uint64()>>1<<1
	}
	to := e.other
	e.travel(func() {
		// The other side's link takes its time too.
		r := to.node
		r.downFree = max(r.downFree, w.now) + time.Duration(int64(m.Length)*int64(time.Second)/r.c.Down)
		e.arrives = max(e.arrives, r.downFree)
		w.at(r.downFree, func() { to.receive(m, content) })
	})
}

// receive is the arrival of a block.
func (e *end) receive(m wire.Message, content uint64) {
	n := e.node
	if !e.open {
		n.w.Lost += int64(m.Length)
		return
	}
	n.w.Received += int64(m.Length)
	b := blockKey{m.Index, m.Begin}
	if e.asked[b] == 0 {
		n.w.fail("node %d got a block of node %d that it did not ask for", n.index, e.other.node.index)
	}
	e.asked[b]--
	e.out--
	fresh := n.disk.place(b, content)
	if fresh && content != truth(b) {
		n.deceived[e.other.node.index] = true
	}
	n.happens(swarm.Event{Kind: swarm.Block, Peer: e.id, Msg: m, Fresh: fresh})
}

// appendEffects appends all that effects say to b.
func appendEffects(b []byte, hash uint64, node int, now time.Duration, fx *swarm.Effects) []byte {
	u32 := binary.BigEndian.AppendUint32
	u64 := binary.BigEndian.AppendUint64
	b = u64(u64(u64(b, hash), uint64(node)), uint64(now))
	for _, c := range fx.Close {
		b = append(u32(b, uint32(c.Peer)), c.Reason...)
	}
	for _, a := range fx.Ban {
		b = append(b, a.AsSlice()...)
	}
	for _, list := range [][]swarm.Send{fx.Send, fx.Unsend} {
		b = u32(b, uint32(len(list)))
		for _, s := range list {
			b = u32(u32(u32(u32(append(b, byte(s.Msg.ID)), uint32(s.Peer)), s.Msg.Index), s.Msg.Begin), s.Msg.Length)
			b = append(b, s.Msg.Payload...)
		}
	}
	for _, f := range fx.Finish {
		b = u32(b, f.Piece<<1)
		if f.Digests {
			b[len(b)-1] |= 1
		}
	}
	for _, a := range fx.Dial {
		b = append(b, a.String()...)
	}
	b = append(b, fx.Info...)
	if fx.NeedPeers {
		b = append(b, 'n')
	}
	if fx.Completed {
		b = append(b, 'c')
	}
	return u64(b, uint64(fx.Wake.UnixNano()))
}
