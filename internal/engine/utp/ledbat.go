package utp

import "time"

// What LEDBAT aims at (RFC 6817, section 2.4, and BEP 29, "congestion control").
const (
	// target is how long packets may wait in the queues of the path because of us.
	target = 100 * time.Millisecond
	// gain is by how many bytes the window grows in one round trip while there
	// is no such delay.
	gain = 3000
	// minPackets is how many packets the window has room for at least, and
	// firstPackets at first.
	minPackets   = 2
	firstPackets = 4
	// The delay of an empty path is the least of the last baseMinutes; that
	// of the path now the least of the last delaySamples.
	baseMinutes  = 10
	delaySamples = 4
)

// ledbat is how many bytes may be on their way. It compares only differences
// of one-way delays, so the clocks of both sides need not agree. A delay is in
// microseconds and begins again after 2^32.
type ledbat struct {
	window int // In bytes.
	packet int // How many bytes a packet has at most.
	// slow says that the window still doubles with each round trip, until it
	// is limit.
	slow  bool
	limit int
	// credit is by how many bytes, of 1/1024, the window is to grow beyond.
	credit int64

	bases  [baseMinutes]uint32 // The least delay of each minute, the latest first.
	known  int                 // How many of them there are.
	minute time.Duration       // When the latest began.

	recent  [delaySamples]uint32
	samples int
}

func newLedbat(packet int) ledbat {
	return ledbat{window: firstPackets * packet, packet: packet, slow: true, limit: maxWindow}
}

// less compares two delays that lie less than half of the circle apart.
func less(a, b uint32) bool { return int32(a-b) < 0 }

// sample takes in a one-way delay that the other side has measured.
func (l *ledbat) sample(now time.Duration, delay uint32) {
	switch {
	case l.known == 0:
		l.bases[0], l.known, l.minute = delay, 1, now
	case now-l.minute >= time.Minute:
		copy(l.bases[1:], l.bases[:])
		l.bases[0], l.minute = delay, now
		l.known = min(l.known+1, baseMinutes)
	case less(delay, l.bases[0]):
		l.bases[0] = delay
	}
	l.recent[l.samples%delaySamples] = delay
	l.samples++
}

// queued is how long packets wait on the path now.
func (l *ledbat) queued() time.Duration {
	if l.samples == 0 {
		return 0
	}
	base, now := l.bases[0], l.recent[0]
	for _, b := range l.bases[1:l.known] {
		if less(b, base) {
			base = b
		}
	}
	for _, d := range l.recent[1:min(l.samples, delaySamples)] {
		if less(d, now) {
			now = d
		}
	}
	return time.Duration(max(0, int32(now-base))) * time.Microsecond
}

// acked lets the window grow or shrink after so many bytes have arrived. full
// says that it was used up: what is not used does not grow.
func (l *ledbat) acked(bytes int, full bool) {
	queued := l.queued()
	if l.slow {
		if queued < target*3/4 && l.window < l.limit {
			if full {
				l.window = min(l.window+bytes, maxWindow)
			}
			return
		}
		l.slow = false
	}
	off := max(target-queued, -target)
	if off > 0 && !full {
		return
	}
	l.credit += gain * 1024 * int64(bytes) / int64(l.window) * int64(off) / int64(target)
	l.window += int(l.credit / 1024)
	l.credit %= 1024
	l.window = max(minPackets*l.packet, min(l.window, maxWindow))
}

// lost halves the window.
func (l *ledbat) lost() {
	l.window = max(l.window/2, minPackets*l.packet)
	l.slow, l.credit = false, 0
}

// silent begins anew after nothing was heard for too long.
func (l *ledbat) silent() {
	l.limit = max(l.window/2, minPackets*l.packet)
	l.window, l.slow, l.credit = l.packet, true, 0
}

// roundTrip is how long an acknowledgement takes (RFC 6298, section 2).
type roundTrip struct {
	mean, deviation time.Duration
	timeout         time.Duration
}

func (r *roundTrip) sample(d time.Duration) {
	if r.mean == 0 {
		r.mean, r.deviation = d, d/2
	} else {
		r.deviation += ((r.mean - d).Abs() - r.deviation) / 4
		r.mean += (d - r.mean) / 8
	}
	r.renew()
}

// renew takes back what expired did, as something was heard.
func (r *roundTrip) renew() {
	if r.mean > 0 {
		r.timeout = min(max(r.mean+4*r.deviation, minTimeout), maxTimeout)
	}
}

// expired makes the next wait longer.
func (r *roundTrip) expired() { r.timeout = min(2*r.timeout, maxTimeout) }
