package utp

import (
	"testing"
	"time"
)

// afterDelay is a window of 100,000 bytes on a path that has had no delay and
// now has one, after a whole window was acknowledged.
func afterDelay(base uint32, delay time.Duration, full bool) int {
	l := newLedbat(1000)
	l.window, l.slow = 100_000, false
	l.sample(0, base)
	for range delaySamples {
		l.sample(0, base+uint32(delay.Microseconds()))
	}
	for range 100 {
		l.acked(1000, full)
	}
	return l.window
}

// RFC 6817, section 2.4.2: the window changes in proportion to how far the delay
// is off the target, by at most the gain. Clocks may show anything.
func TestTheWindowFollowsTheDelay(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		full  bool
		want  int
	}{
		{0, true, 103_000}, {0, false, 100_000}, {target / 2, true, 101_500}, {target, true, 100_000},
		{target, false, 100_000}, {2 * target, true, 97_000}, {10 * target, false, 97_000},
	} {
		for _, base := range []uint32{0, 1, 1 << 31, ^uint32(0), ^uint32(0) - 100_000} {
			if got := afterDelay(base, c.delay, c.full); got < c.want-100 || got > c.want+100 {
				t.Errorf("delay %v from %d: the window is %d, want about %d", c.delay, base, got, c.want)
			}
		}
	}
}

// The delay of an empty path is forgotten after minutes: it may have another
// way by then, or the clocks run apart.
func TestTheBaseDelayIsForgotten(t *testing.T) {
	l := newLedbat(1000)
	l.sample(0, 1000)
	for m := range baseMinutes {
		for range delaySamples {
			l.sample(time.Duration(m)*time.Minute, 51_000)
		}
		if got := l.queued(); got != 50*time.Millisecond {
			t.Fatalf("in minute %d packets wait for %v", m, got)
		}
	}
	l.sample(baseMinutes*time.Minute, 51_000)
	if got := l.queued(); got != 0 {
		t.Errorf("in the end packets wait for %v", got)
	}
}

func TestTheWindowHasBounds(t *testing.T) {
	l := newLedbat(1000)
	for range 10_000 {
		l.acked(1000, true)
	}
	if l.window != maxWindow {
		t.Errorf("it grows to %d", l.window)
	}
	for range 100 {
		l.lost()
	}
	if l.window != minPackets*1000 {
		t.Errorf("it shrinks to %d", l.window)
	}
	l.silent()
	if l.window != 1000 || !l.slow {
		t.Errorf("after silence it is %d", l.window)
	}
}

// RFC 6298, section 2: the timeout follows the round trip, doubles when it
// expires, and has bounds.
func TestTheTimeoutFollowsTheRoundTrip(t *testing.T) {
	r := roundTrip{timeout: firstTimeout}
	for range 100 {
		r.sample(time.Second)
	}
	if r.timeout < time.Second || r.timeout > 1100*time.Millisecond {
		t.Errorf("%v after a hundred round trips of a second", r.timeout)
	}
	before := r.timeout
	r.expired()
	if r.timeout != 2*before {
		t.Errorf("%v after %v has expired", r.timeout, before)
	}
	for range 100 {
		r.expired()
	}
	if r.timeout != maxTimeout {
		t.Errorf("%v at most", r.timeout)
	}
	for range 100 {
		r.sample(time.Millisecond)
	}
	if r.timeout != minTimeout {
		t.Errorf("%v at least", r.timeout)
	}
}
