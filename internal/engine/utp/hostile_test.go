package utp

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// opened is an open link that was called, and has sent three packets of ten
// bytes, the numbers 100 to 102. The next one from the other side is 7.
func opened() *link {
	l := called(1, datagram4, &header{kind: kindSyn, id: 1, seq: 5}, 100, 0)
	l.receive(1, &header{kind: kindData, id: 2, seq: 6, ack: 99, window: 1 << 20}, []byte("hello"))
	for range 3 {
		l.write(make([]byte, 10))
		l.flush(1)
	}
	return l
}

// check holds what holds always.
func check(t *testing.T, l *link) {
	t.Helper()
	inAir, lost, flying, queued := 0, 0, 0, 0
	for i, p := range l.packets {
		switch {
		case p.seq != l.base+uint16(i):
			t.Fatalf("packet %d has number %d", i, p.seq)
		case !p.acked:
			queued += p.payload()
		}
		switch {
		case p.acked || i >= l.sent:
		case p.lost:
			lost++
		default:
			inAir++
			flying += p.payload()
		}
	}
	if inAir != l.inAir || lost != l.lost || flying != l.flying || queued != l.queued {
		t.Fatalf("%d in the air of %d, %d lost of %d, %d bytes flying of %d, %d queued of %d", l.inAir, inAir, l.lost, lost, l.flying, flying, l.queued, queued)
	}
	if l.sent > maxPackets || l.ready.len() > 2*maxWindow || l.early.bytes > maxWindow || l.early.count > maxPackets {
		t.Fatalf("%d packets sent, %d bytes ready, %d early in %d packets", l.sent, l.ready.len(), l.early.bytes, l.early.count)
	}
}

// An acknowledgement of what was not sent is nobody's who hears us. One of what
// was is taken, and an old one does no harm.
func TestAcksFromTheFuture(t *testing.T) {
	for _, c := range []struct {
		ack  uint16
		left int
	}{{98, 3}, {99, 3}, {100, 2}, {102, 0}, {103, 3}, {30_000, 3}, {40_000, 3}} {
		l := opened()
		l.receive(2, &header{kind: kindState, ack: c.ack, window: 1 << 20}, nil)
		l.flush(2)
		check(t, l)
		if len(l.packets) != c.left || l.phase != phaseOpen {
			t.Errorf("after an ack of %d there are %d packets left, want %d", c.ack, len(l.packets), c.left)
		}
	}
	l := opened()
	l.receive(2, &header{kind: kindState, ack: 99, sack: []byte{0xff, 0xff, 0xff, 0xff}}, nil)
	check(t, l)
	if l.queued != 10 {
		t.Errorf("after a selective ack of far too much %d bytes are left, want 10", l.queued)
	}
}

// A caller is believed when it acknowledges our answer, whose number it can't
// know else.
func TestACallerHasToHearUs(t *testing.T) {
	for ack := range uint16(300) {
		l := called(1, datagram4, &header{kind: kindSyn, id: 1, seq: 5}, 100, 0)
		l.receive(1, &header{kind: kindData, id: 2, seq: 6, ack: ack}, []byte("hello"))
		if open := l.phase == phaseOpen; open != (ack == 99) {
			t.Errorf("open after an ack of %d: %v", ack, open)
		}
	}
}

// A window of 0 is tried at ever longer intervals, with one packet. When it
// opens all goes on.
func TestAClosedWindowIsTried(t *testing.T) {
	w := newWorld(t, 1, path{delay: 10 * time.Millisecond})
	w.ends[1].idle = true
	w.ends[0].write = w.random(3 * maxWindow)
	want := w.ends[0].write
	w.dial()
	w.until(time.Minute, func() bool { return w.ends[1].l != nil && w.ends[1].l.room() < datagram4 && w.ends[0].l.inAir == 0 })
	before := w.path[0].sent
	for end := w.now + time.Hour; w.now < end; {
		w.step()
	}
	// Each try after 15 seconds, and a sign of life after 29.
	if n := w.path[0].sent - before; n < 200 || n > 400 {
		t.Errorf("%d packets in an hour", n)
	}
	w.ends[1].idle = false
	w.use(1)
	w.until(time.Minute, func() bool { return w.ends[1].read.Len() == len(want) })
}

// What comes early is kept within the window and a number of packets.
func TestEarlyPacketsAreBounded(t *testing.T) {
	for _, size := range []int{0, 1, 1400} {
		l := opened()
		for i := range uint16(40_000) {
			l.receive(2, &header{kind: kindData, seq: 8 + i, ack: 99}, make([]byte, size))
			if i%1000 == 0 {
				l.flush(2)
			}
		}
		check(t, l)
		if len(l.sack()) > 252 || l.ready.len() != len("hello") {
			t.Errorf("%d bytes of selective ack, %d ready", len(l.sack()), l.ready.len())
		}
	}
}

// The other side is given up when it was silent for too long, and what was
// written is thrown away.
func TestSilenceEnds(t *testing.T) {
	l := opened()
	n := 0
	for ; l.phase != phaseEnded && n < 100; n++ {
		l.expire(l.wake)
		l.flush(l.wake)
		check(t, l)
	}
	if l.ending != endSilent || n > maxTimeouts+3 {
		t.Errorf("ended so: %d, after %d times", l.ending, n)
	}
}

// Endless SYNs of ever new addresses: the oldest have to go, nobody is handed
// over, and each is answered by one packet that is no longer.
func TestEndlessSYNs(t *testing.T) {
	sent, accepted := 0, 0
	s := New(Config{
		Send: func(packets [][]byte, _ netip.AddrPort) {
			for _, p := range packets {
				sent++
				if len(p) > headerLen {
					t.Errorf("a SYN is answered by %d bytes", len(p))
				}
			}
		},
		Accept: func(*Conn) { accepted++ },
	})
	defer s.Close()
	syn := (&header{kind: kindSyn, id: 1, seq: 5}).append(nil)
	addr := func(i int) netip.AddrPort {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i))
		return netip.AddrPortFrom(netip.AddrFrom4(a), 6881)
	}
	const n = 10 * maxHalfOpen
	for i := range n {
		s.Receive([][]byte{syn}, addr(i))
	}
	if len(s.conns) != maxHalfOpen || len(s.called) != maxHalfOpen || sent != n || accepted != 0 {
		t.Errorf("%d connections and %d callers are kept, %d packets were sent, %d accepted", len(s.conns), len(s.called), sent, accepted)
	}
	if s.conns[place{addr(n - 1), 2}] == nil || s.conns[place{addr(0), 2}] != nil {
		t.Error("others than the last ones are kept")
	}
}

// A packet of data for no connection is answered by a reset, everything else by
// nothing, so two who know nothing don't talk for ever.
func TestPacketsOfNoConnection(t *testing.T) {
	var sent []header
	s := New(Config{
		Send: func(packets [][]byte, _ netip.AddrPort) {
			h, _, _ := parse(packets[0])
			sent = append(sent, h)
		},
		Accept: func(*Conn) { t.Error("accepted") },
	})
	defer s.Close()
	from := netip.MustParseAddrPort("10.0.0.1:6881")
	for k, want := range map[kind]int{kindData: 1, kindFin: 1, kindState: 0, kindReset: 0} {
		sent = nil
		s.Receive([][]byte{(&header{kind: k, id: 77, seq: 5}).append(nil)}, from)
		if len(sent) != want || want > 0 && (sent[0].kind != kindReset || sent[0].id != 77 || sent[0].ack != 5) {
			t.Errorf("type %d is answered by %+v", k, sent)
		}
	}
}
