package dht

import "time"

// tap is a token bucket: so many a second, and so many at once after a
// pause. The zero value is full.
type tap struct {
	used float64 // Of the burst, at the time of last.
	last time.Time
}

// take takes one, if there is one.
func (t *tap) take(now time.Time, rate, burst float64) bool {
	t.flow(now, rate)
	if t.used+1 > burst {
		return false
	}
	t.used++
	return true
}

func (t *tap) flow(now time.Time, rate float64) {
	if now.After(t.last) {
		t.used = max(0, t.used-now.Sub(t.last).Seconds()*rate)
		t.last = now
	}
}

// host is who asks us.
type host struct {
	tap
	blocked time.Time // Not listened to before.
}

// crowd bounds what is taken in of strangers, of each and of all.
type crowd struct {
	all   tap
	hosts map[place]*host // At most maxHosts.
	swept time.Time       // When was last looked for those to be forgotten.
}

// admit says whether one more packet of a host is looked at. Who goes on beyond
// what it may have goes on being blocked.
func (c *crowd) admit(now time.Time, from place) bool {
	h := c.hosts[from]
	if h == nil {
		if len(c.hosts) >= maxHosts && now.Sub(c.swept) >= time.Second {
			c.forget(now)
		}
		if len(c.hosts) >= maxHosts {
			return false
		}
		h = &host{}
		c.hosts[from] = h
	}
	if now.Before(h.blocked) || !h.take(now, hostRate, hostBurst) {
		h.blocked = now.Add(blockTime)
		return false
	}
	return c.all.take(now, answerRate, answerBurst)
}

// forget drops the hosts of which there is nothing to be remembered.
func (c *crowd) forget(now time.Time) {
	c.swept = now
	for p, h := range c.hosts {
		if h.flow(now, hostRate); h.used == 0 && !now.Before(h.blocked) {
			delete(c.hosts, p)
		}
	}
}
