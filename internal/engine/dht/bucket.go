package dht

import (
	"slices"
	"time"
)

// entry is a node of the table.
type entry struct {
	Contact
	heard      time.Time // When it last answered us, or asked us after it had.
	questioned time.Time // When we last made sure of it.
	fails      int       // Questions in a row that it did not answer.
	fits       bool      // Its id follows from its address (BEP 42).
}

// good says that a node is likely to answer (BEP 5, "Routing Table").
func (e *entry) good(now time.Time) bool { return e.fails < badAfter && now.Sub(e.heard) < goodFor }

// bad says that a node has failed to answer several times.
func (e *entry) bad() bool { return e.fails >= badAfter }

// bucket is a part of the space of ids.
type bucket struct {
	nodes   []*entry  // At most bucketSize.
	spares  []*entry  // That would like to be among nodes, the latest last: at most maxSpares.
	changed time.Time // When something of it was last heard of or replaced.
}

// crowded says whether a network has as many nodes in the bucket as it may.
func (b *bucket) crowded(e *entry) bool {
	n, group := 0, groupOf(e.Addr)
	for _, o := range b.nodes {
		if groupOf(o.Addr) == group {
			n++
		}
	}
	return n >= maxPerGroup
}

// weakest returns the node that makes room for e: one that is bad, or one whose
// id does not follow from its address if that of e does. It is nil if there is
// none.
func (b *bucket) weakest(e *entry) *entry {
	var stray *entry
	for _, o := range b.nodes {
		if o.bad() {
			return o
		}
		if !o.fits && e.fits {
			stray = o
		}
	}
	return stray
}

// wait remembers a node that found no room. One that has waited long makes room
// for one that answered just now.
func (b *bucket) wait(e *entry) {
	b.forgetSpare(e.Contact)
	if len(b.spares) == maxSpares {
		b.spares = slices.Delete(b.spares, 0, 1)
	}
	b.spares = append(b.spares, e)
}

func (b *bucket) forgetSpare(c Contact) {
	b.spares = slices.DeleteFunc(b.spares, func(o *entry) bool { return o.ID == c.ID || o.Addr == c.Addr })
}

// remove takes a node out.
func (b *bucket) remove(e *entry) {
	if i := slices.Index(b.nodes, e); i >= 0 {
		b.nodes = slices.Delete(b.nodes, i, i+1)
	}
}
