package utp

import (
	"testing"
	"time"
)

// rival is a sender that does what TCP does (RFC 5681): its window grows by a
// packet with each round trip, and is halved when a packet is lost.
type rival struct {
	window   float64 // In packets.
	inFlight int
	halved   time.Duration
	arrived  int // Packets.
}

// What may happen to a rival's packet, as the destination of a flight.
const (
	rivalArrived = 2 + iota
	rivalLost
)

const rivalPacket = 1500

// fill sends what the window lets.
func (r *rival) fill(w *world) {
	p := &w.path[0]
	for ; r.inFlight < int(r.window); r.inFlight++ {
		back := w.path[1].delay
		if at, ok := p.pass(w.now, rivalPacket); ok {
			w.push(at+back, rivalArrived, nil)
		} else {
			w.push(w.now+p.queue+p.delay+back, rivalLost, nil)
		}
	}
}

func (r *rival) take(w *world, what int) {
	r.inFlight--
	if what == rivalArrived {
		r.arrived++
		r.window += 1 / r.window
	} else if w.now-r.halved > 200*time.Millisecond {
		r.halved = w.now
		r.window = max(r.window/2, 2)
	}
	r.fill(w)
}

// bottleneck is 1 MB a second with room for half a second.
var bottleneck = path{delay: 20 * time.Millisecond, rate: 1_000_000, queue: 500 * time.Millisecond}

// stream lets end 0 write without end, for so long, and returns how many bytes
// arrive.
func stream(w *world, d time.Duration) int {
	before, end := w.ends[1].read.Len(), w.now+d
	w.until(d+time.Minute, func() bool {
		if len(w.ends[0].write) < maxQueue {
			w.ends[0].write = make([]byte, 4*maxQueue)
		}
		return w.now >= end
	})
	return w.ends[1].read.Len() - before
}

// RFC 6817: alone it uses all of a bottleneck, and adds no more delay than the
// target.
func TestAloneItUsesTheBottleneck(t *testing.T) {
	w := newWorld(t, 1, bottleneck)
	w.dial()
	stream(w, 20*time.Second)
	w.path[0].deepest = 0
	if got, most := stream(w, 60*time.Second), 60*bottleneck.rate; got < most*9/10 {
		t.Errorf("%d of %d bytes have passed", got, most)
	}
	if deepest := w.path[0].deepest; deepest > target*5/4 {
		t.Errorf("packets wait for %v", deepest)
	}
	if n := w.path[0].dropped; n > 0 {
		t.Errorf("%d packets were dropped", n)
	}
}

// RFC 6817, section 2.1: it gives way to TCP, but does not starve, and takes
// what is left when TCP is done.
func TestItYieldsToTCP(t *testing.T) {
	w := newWorld(t, 1, bottleneck)
	w.dial()
	stream(w, 20*time.Second)
	w.rival = &rival{window: 2}
	w.rival.fill(w)
	stream(w, 30*time.Second)
	w.rival.arrived = 0
	got := stream(w, 60*time.Second)
	theirs := w.rival.arrived * rivalPacket
	if theirs < 6*got {
		t.Errorf("it has had %d bytes beside %d of TCP", got, theirs)
	}
	if got == 0 {
		t.Error("it has starved")
	}
	w.rival.window = 0
	stream(w, 10*time.Second)
	if got, most := stream(w, 30*time.Second), 30*bottleneck.rate; got < most*8/10 {
		t.Errorf("afterwards %d of %d bytes have passed", got, most)
	}
}

// A path that loses one packet in a hundred is not given up.
func TestALossyPathIsUsed(t *testing.T) {
	w := newWorld(t, 1, path{delay: 25 * time.Millisecond, loss: 0.01})
	w.dial()
	stream(w, 10*time.Second)
	// TCP has 1.22 packets a round trip and root of the loss (RFC 3155).
	if got, least := stream(w, 60*time.Second), 60*20*12*datagram4/2; got < least {
		t.Errorf("%d bytes have passed, not even %d", got, least)
	}
}
