package utp

import (
	"math"
	"time"
)

// packet is one that has a number and is resent until it is acknowledged.
type packet struct {
	kind  kind
	seq   uint16
	bytes []byte // Room for the header, and the payload. nil once it is acknowledged.
	// order is the how many-eth of all transmissions the last one was; 0 if it was
	// never sent.
	order uint64
	again bool // It was sent more than once.
	acked bool
	lost  bool // It is taken for lost, and waits to be sent again.
	at    time.Duration
}

func (p *packet) payload() int { return len(p.bytes) - headerLen }

// sends is the half of a link that sends.
type sends struct {
	datagram int
	base     uint16 // The number of packets[0], or of the next one.
	initial  uint16 // The number of the first packet.
	packets  []*packet
	sent     int  // How many of packets were sent at least once.
	lost     int  // How many of packets are taken for lost.
	inAir    int  // How many were sent and are neither acknowledged nor lost,
	flying   int  // and how many bytes they have.
	held     bool // There is something to be sent, and none of it in the air.
	queued   int  // Bytes of all packets.
	finished bool
	free     []*packet // To be used again.

	peer     int // The window of the other side.
	pace     ledbat
	trip     roundTrip
	timeouts int           // In a row.
	progress time.Duration // Since when the timeout runs.
	spoke    time.Duration // When anything was sent.

	order uint64 // How many transmissions there were.
	// heard are the last three transmissions, by order, of which is known
	// that they arrived: what left before all of them is lost.
	heard [3]uint64
	// halved is the last transmission when the window was halved: for what
	// left before, once is enough.
	halved uint64
}

func (s *sends) begin(datagram int, first uint16) {
	s.datagram, s.base, s.initial = datagram, first, first
	s.peer = math.MaxInt32
	s.pace = newLedbat(datagram - headerLen)
	s.trip.timeout = firstTimeout
}

// drop forgets all that was to be sent.
func (s *sends) drop() {
	s.packets, s.free, s.sent, s.lost, s.inAir, s.flying, s.queued = nil, nil, 0, 0, 0, 0, 0
}

// queue appends an empty packet.
func (s *sends) queue(k kind) *packet {
	p := &packet{}
	if n := len(s.free); n > 0 {
		p, s.free = s.free[n-1], s.free[:n-1]
	}
	if cap(p.bytes) < s.datagram {
		p.bytes = make([]byte, 0, s.datagram)
	}
	*p = packet{kind: k, seq: s.base + uint16(len(s.packets)), bytes: p.bytes[:headerLen]}
	s.packets = append(s.packets, p)
	return p
}

// writable says whether write takes anything.
func (s *sends) writable() bool {
	return s.queued < s.limit() && len(s.packets) < maxQueued
}

// limit is how many bytes may be queued.
func (s *sends) limit() int { return min(max(minQueue, 2*s.pace.window), maxQueue) }

// write takes bytes to be sent, as many as there is room for.
func (s *sends) write(b []byte) (n int) {
	for n < len(b) && s.queued < s.limit() {
		var p *packet
		if last := len(s.packets) - 1; last >= s.sent && s.packets[last].kind == kindData {
			p = s.packets[last]
		}
		if p == nil || len(p.bytes) == s.datagram {
			if len(s.packets) >= maxQueued {
				break
			}
			p = s.queue(kindData)
		}
		take := min(len(b)-n, s.datagram-len(p.bytes), s.limit()-s.queued)
		p.bytes = append(p.bytes, b[n:n+take]...)
		n += take
		s.queued += take
	}
	return n
}

// mayAck says whether a is a packet that was sent, or older.
func (s *sends) mayAck(a uint16) bool {
	return int16(a-(s.base-1)) <= int16(s.sent)
}

// acknowledged takes in what a packet acknowledges.
func (l *link) acknowledged(now time.Duration, h *header) {
	n := int(int16(h.ack - (l.base - 1))) // Cumulatively; mayAck has looked at it.
	if n < 0 {
		return // It was overtaken.
	}
	l.peer = int(min(h.window, math.MaxInt32))
	full := l.flying+l.datagram > l.pace.window
	bytes, fresh := 0, false
	for i := range n {
		b, ok := l.arrivedThere(now, l.packets[i])
		bytes, fresh = bytes+b, fresh || ok
	}
	for i, p := range l.sacked(h.sack, n) {
		if h.sack[i/8]&(1<<(i%8)) != 0 {
			b, ok := l.arrivedThere(now, p)
			bytes, fresh = bytes+b, fresh || ok
		}
	}
	for i, p := range l.packets[:n] {
		l.recycle(p)
		l.packets[i] = nil
	}
	l.packets, l.base, l.sent = l.packets[n:], l.base+uint16(n), l.sent-n
	if len(l.packets) == 0 {
		l.packets = nil // The next ones begin at the front again.
	}
	if h.delay != 0 && fresh {
		l.pace.sample(now, h.delay)
	}
	if fresh {
		l.timeouts, l.progress = 0, now
		l.trip.renew()
		l.pace.acked(bytes, full)
	}
	if h.sack != nil {
		l.findLost()
	}
}

// sacked returns the packets that a selective ack speaks of, after the
// first n: those beyond the one that is missing for certain.
func (s *sends) sacked(sack []byte, n int) []*packet {
	from := min(n+1, s.sent)
	return s.packets[from:min(from+8*len(sack), s.sent)]
}

// arrivedThere notes that a packet has arrived, of which that may be known
// already.
func (l *link) arrivedThere(now time.Duration, p *packet) (bytes int, fresh bool) {
	if p.acked {
		return 0, false
	}
	p.acked = true
	bytes = p.payload()
	if p.lost {
		p.lost = false
		l.lost--
	} else {
		l.inAir--
		l.flying -= bytes
	}
	l.queued -= bytes
	if !p.again {
		l.trip.sample(max(now-p.at, time.Microsecond))
	}
	h := &l.heard
	switch o := p.order; {
	case o > h[0]:
		h[0], h[1], h[2] = o, h[0], h[1]
	case o > h[1]:
		h[1], h[2] = o, h[1]
	case o > h[2]:
		h[2] = o
	}
	return bytes, true
}

// recycle keeps a packet to be used again.
func (s *sends) recycle(p *packet) {
	if len(s.free) < maxFree {
		s.free = append(s.free, p)
	}
}

// findLost takes those packets for lost that left before three of which is
// known that they arrived.
func (l *link) findLost() {
	for _, p := range l.packets[:l.sent] {
		if p.acked || p.lost || p.order >= l.heard[2] {
			continue
		}
		l.lose(p)
		if p.order > l.halved {
			l.halved = l.order
			l.pace.lost()
		}
	}
}

// lose takes a packet for lost.
func (l *link) lose(p *packet) {
	p.lost = true
	l.lost++
	l.inAir--
	l.flying -= p.payload()
}

// expireSends does what is due after too long a silence: everything that is on
// its way is taken for lost. Where the other side has no room, its window is
// tried with one packet. If nothing was to be said it is said that we are there.
func (l *link) expireSends(now time.Duration) {
	if len(l.packets) > 0 && now >= l.progress+l.trip.timeout {
		l.progress = now
		l.trip.expired()
		l.peer = max(l.peer, l.datagram)
		if l.inAir == 0 {
			return // There was no answer to be had: the window is closed.
		}
		if l.timeouts++; l.timeouts > maxTimeouts {
			l.end(endSilent)
			return
		}
		for _, p := range l.packets[:l.sent] {
			if !p.acked && !p.lost {
				l.lose(p)
			}
		}
		l.pace.silent()
		l.halved = l.order
	}
	if now >= l.spoke+keepAlive {
		l.owed = true
	}
}

// send makes all packets that the windows of both sides let leave, lost ones
// first.
func (l *link) send(now time.Duration) {
	for i := 0; l.lost > 0 && i < l.sent; i++ {
		if p := l.packets[i]; p.lost {
			if !l.lets(p) {
				return
			}
			p.lost, p.again = false, true
			l.lost--
			l.transmit(now, p)
		}
	}
	for l.sent < len(l.packets) && l.sent < maxPackets {
		p := l.packets[l.sent]
		if !l.lets(p) || p.kind != kindSyn && l.phase != phaseOpen {
			return
		}
		l.sent++
		l.transmit(now, p)
	}
}

// begins begins to count the time to wait where there is nothing to be heard of,
// because the other side has no room.
func (s *sends) begins(now time.Duration) {
	held := len(s.packets) > 0 && s.inAir == 0
	if held && !s.held {
		s.progress = now
	}
	s.held = held
}

// lets says whether there is room in the windows for one more packet.
func (l *link) lets(p *packet) bool {
	n := l.flying + p.payload()
	return p.payload() == 0 || n <= l.peer && (n <= l.pace.window || l.flying == 0)
}

// transmit makes one packet leave.
func (l *link) transmit(now time.Duration, p *packet) {
	if l.inAir == 0 {
		l.progress = now
	}
	l.inAir++
	l.order++
	p.order, p.at = l.order, now
	l.flying += p.payload()
	h := header{kind: p.kind, seq: p.seq}
	l.fill(now, &h)
	h.put(p.bytes)
	l.out = append(l.out, p.bytes)
	l.spoke = now
	if l.early.count == 0 {
		l.owed = false
	}
}
