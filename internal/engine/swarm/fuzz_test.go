package swarm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// FuzzHandle has a swarm handle whatever can come from strangers, and holds the
// invariants after each call. Two bytes make an event.
func FuzzHandle(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 400+100*seed)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if err := chaos(script); err != nil {
			t.Error(err)
		}
	})
}

// TestInvariantsUnderRandomEvents is the same at more length.
func TestInvariantsUnderRandomEvents(t *testing.T) {
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 4000)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		if err := chaos(script); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestSameEventsSameEffects runs two swarms side by side.
func TestSameEventsSameEffects(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	script := make([]byte, 4000)
	for i := range script {
		script[i] = byte(rng.Uint32())
	}
	a, b := newStrangers(script), newStrangers(script)
	for len(a.script) > 1 {
		a.step()
		b.step()
		if !reflect.DeepEqual(a.s.fx, b.s.fx) {
			t.Fatalf("%d bytes before the end:\n%+v\n%+v", len(a.script), a.s.fx, b.s.fx)
		}
	}
	if a.s.Stats(a.now).Downloaded == 0 {
		t.Error("nothing was downloaded, so nothing was compared")
	}
}

func chaos(script []byte) error {
	w := newStrangers(script)
	for len(w.script) > 1 {
		w.step()
		if err := w.s.check(); err != nil {
			return fmt.Errorf("%d bytes before the end: %w", len(w.script), err)
		}
	}
	return nil
}

// strangers plays all that surrounds a swarm, by the bytes of a script.
type strangers struct {
	s      *Swarm
	now    time.Time
	script []byte
	next   Peer
	conns  []Peer
	asked  map[Peer][]wire.Message // What the swarm asked for.
	sends  map[Peer][]wire.Message // What it promised.
	finish []uint32
	dials  []netip.AddrPort
	placed map[[2]uint32]bool // Piece, begin.
}

func newStrangers(script []byte) *strangers {
	w := &strangers{
		now: epoch, script: script, asked: map[Peer][]wire.Message{}, sends: map[Peer][]wire.Message{},
		placed: map[[2]uint32]bool{},
	}
	c := Config{Pieces: 12, PieceLength: 3 * block.Size, Length: 12*3*block.Size - 20000, MaxPeers: 6, Seed: 9, PeerID: key("me")}
	if len(script) > 0 {
		c.Seed = uint64(script[0])
	}
	w.s = New(epoch, c)
	w.handle(nil)
	return w
}

func (w *strangers) take() int {
	if len(w.script) == 0 {
		return 0
	}
	b := w.script[0]
	w.script = w.script[1:]
	return int(b)
}

// handle hands events over and remembers what came of it.
func (w *strangers) handle(events []Event) {
	fx := w.s.Handle(w.now, events)
	for _, e := range fx.Send {
		switch e.Msg.ID {
		case wire.Request:
			w.asked[e.Peer] = append(w.asked[e.Peer], e.Msg)
		case wire.Piece:
			w.sends[e.Peer] = append(w.sends[e.Peer], e.Msg)
		}
	}
	for _, f := range fx.Finish {
		w.finish = append(w.finish, f.Piece)
	}
	w.dials = append(w.dials, fx.Dial...)
}

func (w *strangers) step() {
	kind, x := w.take(), w.take()
	if kind >= 200 || len(w.conns) == 0 {
		w.outside(kind%8, x)
		return
	}
	p := w.conns[x%len(w.conns)]
	if kind < 80 {
		w.block(p, x)
		return
	}
	ids := []wire.ID{
		wire.Choke, wire.Unchoke, wire.Unchoke, wire.Unchoke, wire.Interested, wire.Interested, wire.NotInterested,
		wire.Have, wire.Have, wire.Bitfield, wire.HaveAll, wire.HaveAll, wire.HaveNone, wire.Request, wire.Request,
		wire.Cancel, wire.Reject, wire.Suggest, wire.AllowedFast, wire.Extended, wire.Port, wire.KeepAlive,
	}
	m := wire.Message{ID: ids[kind%len(ids)], Index: uint32(w.take() % 13)}
	if w.take() > 20 {
		m.Index %= 12
	}
	m.Begin, m.Length = uint32(x%3)*block.Size, block.Size
	if m.ID == wire.Bitfield {
		m.Payload = []byte{byte(w.take()), byte(w.take()) &^ 15}
	}
	if m.ID == wire.Extended {
		m.Payload = w.extended()
	}
	if m.ID == wire.Reject && len(w.asked[p]) > 0 {
		m = w.asked[p][0]
		m.ID = wire.Reject
		w.asked[p] = w.asked[p][1:]
	}
	w.handle([]Event{{Kind: Received, Peer: p, Msg: m}})
}

// extended is the payload of an extended message.
func (w *strangers) extended() []byte {
	contents := []string{
		"", "\x00", "\x01", "\x00\x00\x00\x03", "\x00\x00\x00\xff", "de", "d1:md6:ut_pexi1eee",
		"d1:md11:lt_donthavei7e11:upload_onlyi3e6:ut_pexi1ee1:pi7000e4:reqqi3e6:yourip4:\x01\x02\x03\x04e",
		"d4:reqqi1ee", "d1:pi6881e11:upload_onlyi1ee", "d5:added12:\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x09\x00\x017:added.f1:\x02e",
	}
	return append([]byte{byte(w.take() % 6)}, contents[w.take()%len(contents)]...)
}

// block answers the oldest request, or passes it over.
func (w *strangers) block(p Peer, x int) {
	var events []Event
	if q := w.s.byID[p]; q != nil && q.web && x%5 == 0 { // It knows no ranges.
		m := wire.Message{ID: wire.Piece, Index: uint32(x % 12), Length: block.Size}
		if !w.s.have.Has(int(m.Index)) && !w.placed[place(m)] && w.s.isBlock(&m) {
			events = append(events, Event{Kind: Block, Peer: p, Msg: m, Fresh: true})
			w.placed[place(m)] = true
		}
	}
	for range 1 + x%5 {
		if len(w.asked[p]) == 0 {
			break
		}
		m := w.asked[p][0]
		w.asked[p] = w.asked[p][1:]
		if x > 240 {
			continue
		}
		m.ID = wire.Piece
		events = append(events, Event{Kind: Block, Peer: p, Msg: m, Fresh: !w.placed[place(m)]})
		w.placed[place(m)] = true
	}
	w.handle(events)
}

func place(m wire.Message) [2]uint32 { return [2]uint32{m.Index, m.Begin} }

// outside is what does not come from a peer.
func (w *strangers) outside(kind, x int) {
	switch kind {
	case 0, 1:
		w.connect(x)
	case 2:
		if len(w.conns) == 0 {
			return
		}
		p := w.conns[x%len(w.conns)]
		w.conns = append(w.conns[:x%len(w.conns)], w.conns[x%len(w.conns)+1:]...)
		delete(w.asked, p)
		w.handle([]Event{{Kind: Gone, Peer: p}})
	case 3, 4:
		w.verify(x)
	case 5:
		w.now = w.now.Add(time.Duration(x*x) * time.Millisecond)
		w.handle(nil)
	case 6:
		var addrs []netip.AddrPort
		for k := range 4 {
			addrs = append(addrs, addr(x*4+k))
		}
		w.handle([]Event{{Kind: Found, Addrs: addrs, Source: Source(x % int(sources))}})
	case 7:
		e := Event{Kind: PieceLost, Msg: wire.Message{Index: uint32(x % 13)}}
		if x%3 == 0 {
			e = Event{Kind: Reconfigured, MaxPeers: 1 + x%9, NoPEX: x%5 == 0}
			if x%4 == 0 {
				e.Filter = Filter{Deny: []netip.Prefix{netip.PrefixFrom(addr(x).Addr(), 24)}}
			}
		} else if x%3 == 1 && len(w.sends) > 0 && len(w.conns) > 0 {
			p := w.conns[x%len(w.conns)]
			if len(w.sends[p]) > 0 {
				e = Event{Kind: Sent, Peer: p, Msg: w.sends[p][0]}
				w.sends[p] = w.sends[p][1:]
			}
		}
		if e.Kind == PieceLost {
			for b := range uint32(3) {
				delete(w.placed, [2]uint32{e.Msg.Index, b * block.Size})
			}
			if int(e.Msg.Index) < 12 && !w.s.have.Has(int(e.Msg.Index)) {
				return
			}
		}
		w.handle([]Event{e})
	}
}

func addr(x int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(x / 50), byte(x % 50)}), uint16(1+x%3))
}

func (w *strangers) connect(x int) {
	e := Event{Kind: Connected, Peer: w.next, PeerID: key(fmt.Sprint(x % 20)), Fast: x%2 == 0, Extended: x%7 > 0, Incoming: true, Addr: addr(x)}
	w.next++
	if x%11 == 0 { // A web seed.
		w.conns = append(w.conns, e.Peer)
		e.Addr, e.Fast, e.Incoming, e.WebSeed = netip.AddrPort{}, true, false, true
		w.handle([]Event{e, {Kind: Received, Peer: e.Peer, Msg: wire.Message{ID: wire.HaveAll}}})
		return
	}
	if len(w.dials) > 0 && x%3 > 0 {
		e.Addr, e.Incoming = w.dials[0], false
		w.dials = w.dials[1:]
		if x%3 == 1 {
			w.handle([]Event{{Kind: DialFailed, Addr: e.Addr, Self: x%30 == 1}})
			return
		}
	}
	w.conns = append(w.conns, e.Peer)
	w.handle([]Event{e, {Kind: Received, Peer: e.Peer, Msg: wire.Message{ID: wire.Have, Index: uint32(x % 12)}}})
}

func (w *strangers) verify(x int) {
	if len(w.finish) == 0 {
		return
	}
	piece := w.finish[0]
	w.finish = w.finish[1:]
	n := w.s.blocks(piece)
	e := Event{Kind: PieceDone, OK: x%4 > 0, Msg: wire.Message{Index: piece}}
	for i := range n {
		d := uint64(i)
		if !e.OK && x%7 == i {
			d = uint64(x)
		}
		e.Digests = append(e.Digests, d)
	}
	if !e.OK {
		for b := range uint32(n) {
			delete(w.placed, [2]uint32{piece, b * block.Size})
		}
	}
	w.handle([]Event{e})
}
