package utp

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// Whatever the path does to packets, bytes arrive whole and in order, in both
// directions at once, and then both sides know that it was all.
func TestBytesArriveWholeAndInOrder(t *testing.T) {
	paths := map[string]path{
		"clean":        {delay: time.Millisecond},
		"far":          {delay: 200 * time.Millisecond},
		"lossy":        {delay: 20 * time.Millisecond, loss: 0.05},
		"very lossy":   {delay: 20 * time.Millisecond, loss: 0.2},
		"disorderly":   {delay: 20 * time.Millisecond, jitter: 30 * time.Millisecond},
		"duplicating":  {delay: 20 * time.Millisecond, jitter: 5 * time.Millisecond, twice: 0.3},
		"all of it":    {delay: 20 * time.Millisecond, jitter: 30 * time.Millisecond, loss: 0.1, twice: 0.1},
		"narrow":       {delay: 20 * time.Millisecond, rate: 100_000, queue: 500 * time.Millisecond},
		"short queue":  {delay: 20 * time.Millisecond, rate: 1_000_000, queue: 5 * time.Millisecond},
		"on the moon":  {delay: 1300 * time.Millisecond, loss: 0.01},
		"no time lost": {},
	}
	for name, p := range paths {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				w := newWorld(t, seed, p)
				want := [2][]byte{w.random(300_000), w.random(200_000)}
				for i, e := range w.ends {
					e.write, e.finish = want[i], true
				}
				w.dial()
				w.until(time.Hour, w.ended)
				for i, e := range w.ends {
					if !bytes.Equal(e.read.Bytes(), want[1-i]) {
						t.Errorf("end %d has read %d of %d bytes, or other ones", i, e.read.Len(), len(want[1-i]))
					}
					if !e.l.eof {
						t.Errorf("end %d does not know that it was all", i)
					}
				}
			})
		}
	}
}

// Numbers of packets and stamps begin again at 0 (16 and 32 bits).
func TestNumbersAndStampsBeginAgain(t *testing.T) {
	w := newWorld(t, 1, path{delay: 10 * time.Millisecond, loss: 0.02, jitter: 15 * time.Millisecond})
	for _, e := range w.ends {
		e.first, e.clock = 0xfff0, 0
		e.zero = ^uint32(0) - uint32((w.now + 100*time.Millisecond).Microseconds())
	}
	want := w.random(2_000_000)
	w.ends[0].write, w.ends[0].finish, w.ends[1].finish = want, true, true
	w.dial()
	w.until(time.Hour, w.ended)
	if !bytes.Equal(w.ends[1].read.Bytes(), want) {
		t.Error("other bytes have arrived")
	}
}
