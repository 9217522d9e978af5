package utp

import "time"

// phase is how far a link has come.
type phase uint8

const (
	phaseDialing phase = iota // A SYN was sent.
	phaseCalled               // A SYN has come, and nothing else yet.
	phaseOpen
	phaseEnded // Nothing is sent or taken any more.
)

// ending is why a link has ended.
type ending uint8

const (
	endOrderly ending = iota // Both sides have said that they are done.
	endReset                 // The other side does not know the connection, or wants no more of it.
	endSilent                // The other side was not heard for too long.
	endClosed                // It was closed here, and nobody waits for the rest.
)

// link is one connection. It belongs to one goroutine at a time. Times are
// since a moment that all links of a socket share.
type link struct {
	phase  phase
	ending ending
	// listen is the id of packets to us, speak that of those from us (BEP 29,
	// "connection_id").
	listen, speak uint16
	zero          uint32 // What our clock shows in packets at time 0.
	out           [][]byte
	sends
	receives

	closed bool          // Nobody here reads or writes any more.
	latest time.Duration // When it ends, whatever has happened until then; 0 is never.
	wake   time.Duration // When expire wants to be called; 0 is never.
}

// dialed begins a link to another side, with the next flush. listen and first, the number of its first
// packet, are random.
func dialed(datagram int, listen, first uint16, zero uint32) *link {
	l := &link{phase: phaseDialing, listen: listen, speak: listen + 1, zero: zero}
	l.sends.begin(datagram, first)
	l.queue(kindSyn)
	return l
}

// called begins a link that another side wants by its SYN. The next flush answers.
func called(now time.Duration, datagram int, syn *header, first uint16, zero uint32) *link {
	l := &link{phase: phaseCalled, listen: syn.id + 1, speak: syn.id, zero: zero}
	l.sends.begin(datagram, first)
	l.hear(syn.seq)
	l.latest = now + linger
	l.arrived(now, syn)
	l.owed = true
	return l
}

// end ends the link, if it has not ended.
func (l *link) end(why ending) {
	if l.phase != phaseEnded {
		l.phase, l.ending = phaseEnded, why
		l.sends.drop()
		l.receives.drop()
	}
}

// receive takes a packet of this link. What is to be answered leaves with the
// next flush.
func (l *link) receive(now time.Duration, h *header, payload []byte) {
	switch {
	case l.phase == phaseEnded:
		return
	case h.kind == kindReset:
		l.end(endReset)
		return
	case h.kind == kindSyn:
		if l.phase == phaseCalled && h.seq == l.got { // Our answer was lost. It is given again with the same number.
			l.owed, l.latest = true, now+linger
		}
		return
	case !l.mayAck(h.ack):
		return // Nobody who hears us acknowledges what we have not sent.
	case l.phase == phaseDialing:
		if h.kind != kindState || h.ack != l.initial {
			return
		}
		l.hear(h.seq - 1)
		l.phase, l.owed = phaseOpen, true // The other side may wait for a sign that we are there.
	case l.phase == phaseCalled:
		if h.ack != l.initial-1 {
			return // It has not seen our answer: its address may not be its own.
		}
		l.phase, l.latest = phaseOpen, 0
	}
	l.timeouts = 0
	l.arrived(now, h)
	l.acknowledged(now, h)
	switch h.kind {
	case kindData:
		l.take(h.seq, payload)
	case kindFin:
		l.takeFin(h.seq)
	}
}

// expire does what is due when wake has come.
func (l *link) expire(now time.Duration) {
	switch {
	case l.phase == phaseEnded:
		return
	case l.latest > 0 && now >= l.latest:
		l.end(endClosed)
		return
	}
	l.expireSends(now)
}

// close says that nobody here reads or writes any more. What was written is
// still delivered, for as long as linger.
func (l *link) close(now time.Duration) {
	switch {
	case l.phase == phaseEnded || l.closed:
		return
	case l.phase != phaseOpen:
		l.end(endClosed)
		return
	}
	l.closed, l.latest = true, now+linger
	l.finish()
	l.ignore()
}

// finish queues the end of what is written.
func (l *link) finish() {
	if !l.finished {
		l.finished = true
		l.queue(kindFin)
	}
}

// flush makes all packets that are to leave now, into out. They are valid until
// the link is used again.
func (l *link) flush(now time.Duration) {
	l.out = l.out[:0]
	if l.phase != phaseEnded {
		l.send(now)
		if l.owed {
			l.sendState(now)
		}
		l.begins(now)
		if (l.eof || l.closed) && l.finished && len(l.packets) == 0 {
			l.end(endOrderly)
		}
	}
	l.wake = l.nextWake()
}

// nextWake says when expire is due.
func (l *link) nextWake() time.Duration {
	if l.phase == phaseEnded {
		return 0
	}
	at := l.spoke + keepAlive
	if len(l.packets) > 0 {
		at = min(at, l.progress+l.trip.timeout)
	}
	if l.latest > 0 {
		at = min(at, l.latest)
	}
	return at
}

// fill completes the header of a packet that leaves now.
func (l *link) fill(now time.Duration, h *header) {
	h.id = l.speak
	if h.kind == kindSyn {
		h.id = l.listen
	}
	h.stamp = l.zero + uint32(now.Microseconds())
	h.delay = l.delay
	l.told = l.room()
	h.window = uint32(l.told)
	h.ack = l.got
}

// reset returns the packet that tells the sender of h that its connection is
// unknown here.
func reset(now time.Duration, h *header) []byte {
	r := header{kind: kindReset, id: h.id, stamp: uint32(now.Microseconds()), ack: h.seq}
	return r.append(nil)
}
