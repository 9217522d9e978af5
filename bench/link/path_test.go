package link

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestAPacketThatMeetsNoOtherTakesItsSendingTimeAndTheDelay(t *testing.T) {
	p := newPath(Config{Delay: 15 * time.Millisecond, BytesPerSecond: 1_000_000, Queue: 1 << 20}, 0)
	for i, bytes := range []int{40, 1500, 576} {
		now := time.Duration(i) * time.Second
		arrival, f := p.send(now, bytes)
		want := now + time.Duration(bytes)*time.Microsecond + 15*time.Millisecond
		if f != delivered || (arrival-want).Abs() > time.Nanosecond {
			t.Errorf("%d bytes sent at %v: fate %d, arrival at %v; want %v", bytes, now, f, arrival, want)
		}
	}
}

// TestOrderRateAndQueueHoldForAnySender offers bursts of packets to random
// paths, and looks at what comes out alone.
func TestOrderRateAndQueueHoldForAnySender(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := Config{
			Delay:          time.Duration(r.IntN(50)) * time.Millisecond,
			BytesPerSecond: 10_000 + r.Int64N(200_000_000),
			Queue:          mtu + r.Int64N(1<<20),
		}
		p := newPath(c, 0)
		inQueue := time.Duration(float64(c.Queue) / float64(c.BytesPerSecond) * 1e9)
		var now, last, begin, sum time.Duration // sum: of the sending times since the queue was last empty at begin.
		for range 5000 {
			if r.IntN(20) == 0 {
				now += time.Duration(r.Int64N(int64(2*inQueue) + 1))
			}
			bytes := 20 + r.IntN(mtu-19)
			sending := time.Duration(float64(bytes) / float64(c.BytesPerSecond) * 1e9)
			if now >= begin+sum {
				begin, sum = now, 0
			}
			arrival, f := p.send(now, bytes)
			const rounding = 10 * time.Microsecond // 5000 packets, less than 2 ns each.
			if full := begin + sum + sending - now - inQueue; f == dropped {
				if full < -rounding {
					t.Fatalf("seed %d: dropped with %v left in the queue", seed, -full)
				}
				continue
			} else if full > rounding {
				t.Fatalf("seed %d: accepted %v beyond the queue's end", seed, full)
			}
			sum += sending
			if want := begin + sum + c.Delay; (arrival - want).Abs() > rounding {
				t.Fatalf("seed %d: a packet arrives at %v, want %v", seed, arrival, want)
			}
			if arrival < last {
				t.Fatalf("seed %d: a packet arrives at %v, after one that arrives at %v", seed, arrival, last)
			}
			last = arrival
		}
	}
}

// losses returns which of n packets are lost.
func losses(c Config, direction uint64, n int) (which []bool, count int) {
	c.BytesPerSecond, c.Queue = 1_000_000_000, 1<<20
	p := newPath(c, direction)
	for i := range n {
		_, f := p.send(time.Duration(i)*time.Millisecond, mtu)
		which = append(which, f == lost)
		if f == lost {
			count++
		}
	}
	return which, count
}

func TestAsManyPacketsAreLostAsConfigured(t *testing.T) {
	const n = 100_000
	for _, rate := range []float64{0, 0.001, 0.01, 0.1, 0.5, 1} {
		for seed := range uint64(10) {
			_, got := losses(Config{Loss: rate, Seed: seed}, 0, n)
			want, deviation := n*rate, math.Sqrt(n*rate*(1-rate))
			if math.Abs(float64(got)-want) > 4*deviation {
				t.Errorf("loss %v, seed %d: %d of %d packets are lost, want %.0f ± %.0f", rate, seed, got, n, want, 4*deviation)
			}
		}
	}
}

// TestLossHasNoMemory holds loss to come singly: after a loss the next is as
// likely as ever.
func TestLossHasNoMemory(t *testing.T) {
	const n, rate = 1_000_000, 0.1
	which, _ := losses(Config{Loss: rate}, 0, n)
	pairs := 0
	for i := 1; i < n; i++ {
		if which[i-1] && which[i] {
			pairs++
		}
	}
	want := n * rate * rate
	if bound := 5 * math.Sqrt(want); math.Abs(float64(pairs)-want) > bound {
		t.Errorf("%d losses follow another, want %.0f ± %.0f", pairs, want, bound)
	}
}

func TestASeedDecidesWhichPacketsAreLost(t *testing.T) {
	equal := func(a, b []bool) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	c := Config{Loss: 0.1, Seed: 7}
	first, _ := losses(c, 0, 1000)
	if again, _ := losses(c, 0, 1000); !equal(first, again) {
		t.Error("the same seed loses other packets")
	}
	if back, _ := losses(c, 1, 1000); equal(first, back) {
		t.Error("both directions lose the same packets")
	}
	c.Seed = 8
	if other, _ := losses(c, 0, 1000); equal(first, other) {
		t.Error("another seed loses the same packets")
	}
}

func TestALostPacketUsesThePathAllTheSame(t *testing.T) {
	p := newPath(Config{Loss: 1, BytesPerSecond: 1000, Queue: 2000}, 0)
	if _, f := p.send(0, 1500); f != lost {
		t.Fatalf("the first packet's fate is %d, want lost", f)
	}
	if _, f := p.send(0, 1500); f != dropped {
		t.Errorf("the fate of one behind it is %d, want dropped: the queue is full", f)
	}
}
