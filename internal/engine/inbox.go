package engine

import (
	"sync"

	"github.com/torrent-operator/torrent-operator/internal/engine/peerconn"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// inboxRoom is how many events may wait before connections have to. A burst
// is at most 64 events, so it is far above what a busy torrent's goroutine
// leaves behind, and a few hundred kilobytes at worst.
const inboxRoom = 4096

// weightOf returns how many events' room an event takes: one more for each
// kilobyte of payload, since bitfields may be as long as strangers' patience.
func weightOf(e *swarm.Event) int { return 1 + len(e.Msg.Payload)>>10 }

// lists are the lists of events that are not in use. All torrents share them,
// because few have events at any one time, and lists grow long.
var lists = sync.Pool{New: func() any { return new([]swarm.Event) }}

// inbox is the one way into a torrent's goroutine: a list of events that is
// handed over whole, so a busy torrent handles large batches and an idle one
// answers at once.
type inbox struct {
	ready chan struct{} // Capacity 1; a token while events wait.

	mu     sync.Mutex
	room   sync.Cond      // Signalled when the list was taken or the inbox closed.
	events *[]swarm.Event // Of lists; nil while there are none.
	weight int            // Of events.
	closed bool
}

func newInbox() *inbox {
	b := &inbox{ready: make(chan struct{}, 1)}
	b.room.L = &b.mu
	return b
}

// post adds an event and never waits. Its callers are bounded by the effects
// that they answer. After close it does nothing.
func (b *inbox) post(e swarm.Event) {
	b.mu.Lock()
	if !b.closed {
		b.add(e)
	}
	b.mu.Unlock()
	b.signal()
}

// deliver adds what a connection received and waits while the inbox is full.
func (b *inbox) deliver(p swarm.Peer, burst []peerconn.Received) {
	b.mu.Lock()
	for b.weight >= inboxRoom && !b.closed {
		b.room.Wait()
	}
	if !b.closed {
		for i := range burst {
			b.add(received(p, &burst[i]))
		}
	}
	b.mu.Unlock()
	b.signal()
}

func received(p swarm.Peer, r *peerconn.Received) swarm.Event {
	e := swarm.Event{Kind: swarm.Received, Peer: p, Msg: r.Msg}
	switch {
	case r.Block:
		e.Kind, e.Fresh = swarm.Block, r.Fresh
	case r.Sent:
		e.Kind = swarm.Sent
	}
	return e
}

// add holds b.mu.
func (b *inbox) add(e swarm.Event) {
	if b.events == nil {
		b.events = lists.Get().(*[]swarm.Event)
	}
	*b.events = append(*b.events, e)
	b.weight += weightOf(&e)
}

// take hands all waiting events to use.
func (b *inbox) take(use func([]swarm.Event)) {
	b.mu.Lock()
	events := b.events
	b.events, b.weight = nil, 0
	b.room.Broadcast()
	b.mu.Unlock()
	if events == nil {
		return
	}
	use(*events)
	clear(*events) // So that it pins no payloads.
	*events = (*events)[:0]
	lists.Put(events)
}

// close lets everybody who waits go on; what comes later is dropped.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.room.Broadcast()
	b.mu.Unlock()
}

func (b *inbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}
