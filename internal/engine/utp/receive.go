package utp

import (
	"math/bits"
	"time"
)

// receives is the half of a link that receives.
type receives struct {
	got   uint16 // The last packet before which none is missing (BEP 29, "ack_nr").
	delay uint32 // By how much the last packet came later than its stamp.
	owed  bool   // An acknowledgement is to leave.

	ready  ring // Bytes in order, for the reader.
	told   int  // The room that the other side was told of.
	eof    bool // All has come.
	fin    bool // It is known which packet is the last one,
	last   uint16
	nobody bool // Nobody reads any more: what comes is acknowledged and thrown away.

	early   early
	scratch []byte // Of sendState.
}

// early are packets that came before one that is missing.
type early struct {
	packets [][]byte // By number, modulo its length. nil while there were none.
	count   int
	bytes   int
}

// hear begins after packet got.
func (r *receives) hear(got uint16) { r.got = got }

// drop forgets what came early. What is in order can still be read.
func (r *receives) drop() { r.early = early{} }

// ignore throws away what comes from now on.
func (r *receives) ignore() {
	r.nobody = true
	r.ready = ring{}
}

// room is how many more bytes are taken.
func (r *receives) room() int { return max(0, maxWindow-r.ready.len()-r.early.bytes) }

// arrived notes when a packet came.
func (l *link) arrived(now time.Duration, h *header) {
	l.delay = l.zero + uint32(now.Microseconds()) - h.stamp
}

// take takes the payload of packet seq.
func (r *receives) take(seq uint16, payload []byte) {
	r.owed = true
	d := int16(seq - (r.got + 1))
	switch {
	case d < 0, d >= maxPackets, r.eof, r.fin && int16(seq-r.last) >= 0, r.ready.len()+len(payload) > maxWindow:
		return
	case d > 0:
		if len(payload) <= r.room() {
			r.keep(seq, payload)
		}
		return
	}
	r.deliver(payload)
	for r.early.count > 0 {
		at := &r.early.packets[(r.got+1)%maxPackets]
		if *at == nil {
			break
		}
		r.early.count--
		r.early.bytes -= len(*at)
		r.deliver(*at)
		*at = nil
	}
	r.conclude()
}

// deliver appends the next packet's payload to what can be read.
func (r *receives) deliver(payload []byte) {
	r.got++
	if !r.nobody {
		r.ready.write(payload)
	}
}

// keep keeps what came early.
func (r *receives) keep(seq uint16, payload []byte) {
	if r.early.packets == nil {
		r.early.packets = make([][]byte, maxPackets)
	}
	at := &r.early.packets[seq%maxPackets]
	if *at == nil {
		*at = append(make([]byte, 0, max(1, len(payload))), payload...)
		r.early.count++
		r.early.bytes += len(payload)
	}
}

// takeFin notes that seq is the last packet.
func (r *receives) takeFin(seq uint16) {
	r.owed = true
	if d := int16(seq - (r.got + 1)); r.fin || d < 0 || d >= maxPackets {
		return
	}
	r.fin, r.last = true, seq
	r.conclude()
}

// conclude looks whether all has come.
func (r *receives) conclude() {
	if r.fin && !r.eof && r.got+1 == r.last {
		r.got, r.eof = r.last, true
		r.early = early{}
	}
}

// read takes bytes that have come in order. The other side is told of the room
// if it may wait for it.
func (r *receives) read(b []byte) int {
	n := r.ready.read(b)
	if room := r.room(); n > 0 && r.told < maxWindow/4 && room >= maxWindow/2 {
		r.owed = true
	}
	return n
}

// sendState acknowledges what has come.
func (l *link) sendState(now time.Duration) {
	h := header{kind: kindState, seq: l.base + uint16(l.sent)}
	l.fill(now, &h)
	h.sack = l.sack()
	l.scratch = h.append(l.scratch[:0])
	l.out = append(l.out, l.scratch)
	l.owed, l.spoke = false, now
}

// sack returns the bits of what came early; nil if nothing did.
func (r *receives) sack() []byte {
	if r.early.count == 0 {
		return nil
	}
	b := make([]byte, 0, maxPackets/8)
	left := r.early.count
	for i := uint16(0); left > 0; i++ {
		if i%32 == 0 {
			b = append(b, 0, 0, 0, 0)
		}
		if r.early.packets[(r.got+2+i)%maxPackets] != nil {
			b[i/8] |= 1 << (i % 8)
			left--
		}
	}
	return b
}

// ring is a queue of bytes, up to maxWindow.
type ring struct {
	b        []byte // Its length is a power of two.
	from, to uint   // Modulo the length of b.
}

func (q *ring) len() int { return int(q.to - q.from) }

// write appends bytes.
func (q *ring) write(p []byte) {
	if need := q.len() + len(p); need > len(q.b) {
		b := make([]byte, 1<<bits.Len(uint(max(need, 4<<10)-1)))
		n := q.len()
		q.copyOut(b)
		q.b, q.from, q.to = b, 0, uint(n)
	}
	at := q.to & uint(len(q.b)-1)
	copy(q.b, p[copy(q.b[at:], p):])
	q.to += uint(len(p))
}

// copyOut fills p with the first bytes.
func (q *ring) copyOut(p []byte) int {
	n := min(len(p), q.len())
	if n > 0 {
		at := q.from & uint(len(q.b)-1)
		m := copy(p[:n], q.b[at:])
		copy(p[m:n], q.b)
	}
	return n
}

// read takes the first bytes. A large ring that is empty then is given back.
func (q *ring) read(p []byte) int {
	n := q.copyOut(p)
	q.from += uint(n)
	if q.len() == 0 && len(q.b) > maxIdle {
		*q = ring{}
	}
	return n
}
