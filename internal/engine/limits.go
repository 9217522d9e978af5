package engine

import (
	"sync"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
)

// Of info dictionaries that are being fetched, and so can't be checked yet, all
// torrents together hold smallMetadata bytes of those of up to
// [metadata.MaxSmall], and largeMetadata bytes of larger ones, which is one of
// the largest and one of half its size. Who gets no room waits.
const smallMetadata, largeMetadata = 16 << 20, 48 << 20

// budget is a [metadata.Budget] for any number of torrents.
type budget struct {
	mu sync.Mutex
	b  *metadata.Budget
}

func newBudget(small, large int64) *budget { return &budget{b: metadata.NewBudget(small, large)} }

// room is a torrent's part of a budget. It implements [metadata.Room].
type room struct {
	of    *budget
	share *metadata.Share
}

func (b *budget) room() *room {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &room{b, b.b.Share()}
}

func (r *room) Take(bytes int64) bool {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	return r.share.Take(bytes)
}

func (r *room) Give(bytes int64) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.share.Give(bytes)
}

func (r *room) Leave(k metadata.Kind) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.share.Leave(k)
}

func (r *room) Wanted(k metadata.Kind) bool {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	return r.share.Wanted(k)
}

// close gives all of it back.
func (r *room) close() {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.share.Close()
}
