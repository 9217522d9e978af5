package swarm

import "time"

// window is over how many seconds a rate is measured.
const window = 10

// meter measures a rate in bytes a second over the last ten seconds, or since
// it first counted something if that is less.
type meter struct {
	seconds [window]int64
	sum     int64
	total   int64 // Of all time.
	at      int64 // The second that the latest count belongs to.
	from    time.Duration
	used    bool
}

func (m *meter) advance(now time.Duration) {
	s := int64(now / time.Second)
	if s-m.at >= window {
		m.seconds, m.sum = [window]int64{}, 0
		m.at = s
	}
	for m.at < s {
		m.at++
		k := m.at % window
		m.sum -= m.seconds[k]
		m.seconds[k] = 0
	}
}

func (m *meter) add(now time.Duration, n uint32) {
	m.advance(now)
	if !m.used {
		m.used, m.from = true, now
	}
	m.seconds[m.at%window] += int64(n)
	m.sum += int64(n)
	m.total += int64(n)
}

func (m *meter) rate(now time.Duration) int64 {
	m.advance(now)
	if m.sum == 0 {
		return 0
	}
	// The current second is not over: the window is that much shorter.
	span := now%time.Second + (window-1)*time.Second
	span = max(min(span, now-m.from), time.Second)
	return int64(float64(m.sum) / span.Seconds())
}
