package swarm

import (
	"slices"
	"time"
)

// entryState says what has become of a request.
type entryState uint8

const (
	live      entryState = iota // Waiting for its answer.
	late                        // Timed out; others may be asked, but it counts.
	cancelled                   // Not wanted any more; an answer may be under way.
	lost                        // Made void by a choke; an answer may be under way.
	answered                    // Done with, only not yet removed.
)

// entry is a request for a block, ours or theirs.
type entry struct {
	index, begin, length uint32
	state                entryState
	at                   time.Duration // When it was made, or when it was cancelled or lost.
}

// queue holds requests in the order in which they were made, which is nearly
// always the order in which they are answered.
type queue struct {
	entries []entry
	head    int
	open    int // Entries that are live or late.
}

func (q *queue) push(e entry) {
	switch n := len(q.entries); {
	case n-q.head-q.open > maxDead:
		q.entries = slices.DeleteFunc(q.entries, func(e entry) bool { return e.state > late })
		q.head = 0
	case q.head > 64 && q.head*2 > n:
		q.entries = q.entries[:copy(q.entries, q.entries[q.head:])]
		q.head = 0
	}
	q.entries = append(q.entries, e)
	q.open++
}

// all returns the entries, including those that are answered.
func (q *queue) all() []entry { return q.entries[q.head:] }

// find returns the entry of a block: one that is open, or else one that is
// cancelled or lost; nil if there is neither.
func (q *queue) find(index, begin uint32) *entry {
	var dead *entry
	for i := q.head; i < len(q.entries); i++ {
		e := &q.entries[i]
		if e.begin != begin || e.index != index || e.state == answered {
			continue
		}
		if e.state <= late {
			return e
		}
		if dead == nil {
			dead = e
		}
	}
	return dead
}

// mark changes the state of an entry that find returned.
func (q *queue) mark(e *entry, s entryState) {
	if e.state <= late && s > late {
		q.open--
	}
	e.state = s
	for q.head < len(q.entries) && q.entries[q.head].state == answered {
		q.head++
	}
	if q.head == len(q.entries) {
		q.head, q.entries = 0, q.entries[:0]
	}
}

// expire forgets the oldest entries to which no answer is expected any more.
func (q *queue) expire(before time.Duration) {
	for q.head < len(q.entries) {
		e := &q.entries[q.head]
		if e.state <= late || e.at > before {
			return
		}
		q.mark(e, answered)
	}
}

// oldest returns the first live entry, or nil.
func (q *queue) oldest() *entry {
	for i := q.head; i < len(q.entries); i++ {
		if q.entries[i].state == live {
			return &q.entries[i]
		}
	}
	return nil
}
