package report

import (
	"context"
	"sync"
	"time"
)

// places is room for so many at once, of which no namespace has more than a
// part: a team whose Pods send slowly holds up nobody but itself.
type places struct {
	all  chan struct{}
	part int

	mu    sync.Mutex
	parts map[string]*part
}

// part is what a namespace has, while somebody of it has a place or waits for
// one.
type part struct {
	places chan struct{}
	users  int
}

func newPlaces(all, each int) *places {
	return &places{all: make(chan struct{}, all), part: each, parts: map[string]*part{}}
}

// enter waits a moment for a place, and returns what leaves it; nil if there was
// none.
func (p *places) enter(ctx context.Context, namespace string) (leave func()) {
	own := p.join(namespace)
	if !enter(ctx, own.places) {
		p.quit(namespace, own)
		return nil
	}
	if !enter(ctx, p.all) {
		<-own.places
		p.quit(namespace, own)
		return nil
	}
	return func() {
		<-p.all
		<-own.places
		p.quit(namespace, own)
	}
}

func (p *places) join(namespace string) *part {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.parts[namespace]
	if own == nil {
		own = &part{places: make(chan struct{}, p.part)}
		p.parts[namespace] = own
	}
	own.users++
	return own
}

func (p *places) quit(namespace string, own *part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(p.parts, namespace)
	}
}

// enter waits a moment for a place.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	late := time.NewTimer(slotTimeout)
	defer late.Stop()
	select {
	case places <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}
