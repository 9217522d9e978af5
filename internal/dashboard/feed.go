package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// event is an event of a stream as it goes over the wire (Server-Sent Events,
// HTML standard, section 9.2).
type event []byte

// newEvent makes an event of a name and a value, which is sent as JSON.
func newEvent(name string, value any) event {
	b, err := json.Marshal(value)
	if err != nil { // All that is sent can be.
		panic(err)
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, b)
}

// over is the last event of a stream.
type over struct {
	Text  string `json:"text"`
	Login bool   `json:"login,omitempty"` // The page should be asked for again, which leads to signing in.
}

// A feed is followed for one person: it reads something of the cluster over and
// over, as long as one of their browsers is told of it.
type feed interface {
	// run follows until ctx ends, and returns what made it end before.
	run(ctx context.Context) *over
	// whole returns events that tell a newcomer everything. It is called with
	// the lock of the readers held.
	whole() []event
}

// readers are the browsers that are told of one feed.
type readers struct {
	mu      sync.Mutex
	told    map[chan event]struct{}
	whose   string      // Name of the person.
	closing *time.Timer // Ends the feed when nobody has come back.
	end     context.CancelFunc
	ended   bool
	feed    feed
}

// tell sends an event to all. Whoever is too far behind is sent away, and
// begins again with everything. It is called with the lock held.
func (r *readers) tell(e event) {
	for c := range r.told {
		select {
		case c <- e:
		default:
			delete(r.told, c)
			close(c)
		}
	}
}

// hub knows what is being followed, by names that hold who it is for.
type hub struct {
	mu     sync.Mutex
	all    map[string]*readers
	ctx    context.Context //nolint:containedctx // What is followed outlives the request that began it.
	cancel context.CancelFunc
	group  sync.WaitGroup
}

func newHub() *hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &hub{all: map[string]*readers{}, ctx: ctx, cancel: cancel}
}

// close ends all feeds, and returns when they have ended.
func (h *hub) close() {
	h.cancel()
	h.group.Wait()
}

var (
	errCrowded = errors.New("too many pages are open at this dashboard; close some, or ask for more replicas of it")
	errYours   = fmt.Errorf("you have pages of %d lists and downloads open at this dashboard; close some", maxFeedsEach)
)

// reader is a browser that is told of a feed.
type reader struct {
	feed   feed
	first  []event      // Everything, as it was when the reader came.
	events <-chan event // Is closed when the feed has ended or the reader was too slow.
	leave  func()       // Must be called.
}

// join follows what name stands for, or comes to those who do already. start
// makes the feed. The API server has said that it knows the person.
func (h *hub) join(p *person, name string, start func(r *readers) feed) (reader, error) {
	r, err := h.enter(p, name, start)
	if err != nil {
		return reader{}, err
	}
	defer r.mu.Unlock()
	if len(r.told) >= maxReaders {
		return reader{}, errCrowded
	}
	c := make(chan event, backlog)
	r.told[c] = struct{}{}
	return reader{r.feed, r.feed.whole(), c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.told, c)
		r.linger()
	}}, nil
}

// enter returns the readers of a name, locked, with a feed that runs.
func (h *hub) enter(p *person, name string, start func(r *readers) feed) (*readers, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.all[name]; r != nil {
		r.mu.Lock()
		if !r.ended {
			if r.closing != nil {
				r.closing.Stop()
			}
			return r, nil
		}
		r.mu.Unlock()
	}
	if len(h.all) >= maxFeeds {
		return nil, errCrowded
	}
	theirs := 0
	for _, r := range h.all {
		if r.whose == p.name {
			theirs++
		}
	}
	if theirs >= maxFeedsEach {
		return nil, errYours
	}
	ctx, cancel := context.WithCancel(h.ctx)
	r := &readers{told: map[chan event]struct{}{}, whose: p.name, end: cancel}
	r.feed = start(r)
	h.all[name] = r
	h.group.Go(func() { h.follow(ctx, name, r) })
	r.mu.Lock()
	return r, nil
}

// follow runs a feed and takes it away at its end.
func (h *hub) follow(ctx context.Context, name string, r *readers) {
	defer r.end()
	why := r.feed.run(ctx)
	h.mu.Lock()
	if h.all[name] == r {
		delete(h.all, name)
	}
	h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if why != nil {
		r.tell(newEvent("over", why))
	}
	for c := range r.told {
		delete(r.told, c)
		close(c)
	}
}

// linger has the feed end some time after its last reader has left. It is
// called with the lock held.
func (r *readers) linger() {
	if len(r.told) > 0 || r.ended {
		return
	}
	if r.closing != nil {
		r.closing.Stop()
	}
	r.closing = time.AfterFunc(lingers, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.told) == 0 {
			r.ended = true // Whoever comes now begins another one.
			r.end()
		}
	})
}
