package link

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPacketsLeaveAFlightAsTheyEntered compares it with counting, while it
// grows and goes round.
func TestPacketsLeaveAFlightAsTheyEntered(t *testing.T) {
	var f flight
	r := rand.New(rand.NewPCG(1, 0))
	var in, out uint32
	for step := range 100_000 {
		grows := step/10_000%2 == 0
		if enter := r.IntN(3) == 0 != grows; enter {
			binary.BigEndian.PutUint32(f.space(), in)
			if r.IntN(10) == 0 { // Lost: the next one takes its place.
				continue
			}
			f.add(time.Duration(in), 4+int(in%100))
			in++
			continue
		}
		data, arrival, ok := f.next()
		if ok != (out < in) {
			t.Fatalf("step %d: a packet is there: %v; %d have entered and %d left", step, ok, in, out)
		}
		if !ok {
			continue
		}
		if got := binary.BigEndian.Uint32(data); got != out || arrival != time.Duration(out) || len(data) != 4+int(out%100) {
			t.Fatalf("step %d: packet %d of %d bytes leaves, due at %d; want %d", step, got, len(data), arrival, out)
		}
		f.remove()
		out++
	}
	if in < 10_000 || in-out == in {
		t.Fatalf("%d packets entered and %d left: too few to mean anything", in, out)
	}
}

func TestAFlightAllocatesNothingOnceItIsLargeEnough(t *testing.T) {
	var f flight
	round := func() {
		for range 1000 {
			f.space()
			f.add(0, mtu)
		}
		for range 1000 {
			f.remove()
		}
	}
	round() // It grows,
	round() // and every slot gets its buffer.
	if n := testing.AllocsPerRun(10, round); n > 0 {
		t.Errorf("%v allocations for 1000 packets", n)
	}
}
