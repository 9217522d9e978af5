package dht

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// table is the routing table of BEP 5. Bucket i holds the nodes that share
// exactly i leading bits with our id, the last one all that share more. Only
// the last one is split, because our id is in it.
type table struct {
	own     ID
	buckets []*bucket
	places  map[place]*entry // Of the nodes in buckets, spares aside.
}

func newTable(now time.Time, own ID) *table {
	return &table{own: own, buckets: []*bucket{{changed: now}}, places: map[place]*entry{}}
}

// size returns how many nodes there are.
func (t *table) size() int { return len(t.places) }

func (t *table) bucket(id ID) *bucket { return t.buckets[min(common(t.own, id), len(t.buckets)-1)] }

// find returns the node at an address, or nil.
func (t *table) find(a netip.AddrPort) *entry {
	if e := t.places[placeOf(a)]; e != nil && e.Addr == a {
		return e
	}
	return nil
}

// answered takes in a node that answered a question of ours. It gets a place if
// there is one. A node that answers with another id than before loses the place
// that it had: it may come back, if it stays who it is.
func (t *table) answered(now time.Time, c Contact) {
	if c.ID == t.own {
		return
	}
	b := t.bucket(c.ID)
	if old := t.places[placeOf(c.Addr)]; old != nil {
		switch {
		case old.Contact == c:
			old.heard, old.fails = now, 0
			b.changed = now
			return
		case old.Addr == c.Addr:
			t.drop(old)
			return
		case !old.bad():
			return // The host has its place.
		}
		t.drop(old)
	}
	for _, o := range b.nodes {
		if o.ID == c.ID { // Somebody else has that id.
			if !o.bad() {
				return
			}
			t.drop(o)
			break
		}
	}
	t.insert(now, &entry{Contact: c, heard: now, fits: fits(c.ID, c.Addr.Addr())})
}

// insert finds a place for a node (BEP 5, "Routing Table").
func (t *table) insert(now time.Time, e *entry) {
	for {
		b := t.bucket(e.ID)
		switch weak := b.weakest(e); {
		case b.crowded(e):
			return
		case len(b.nodes) < bucketSize:
			t.enter(now, b, e)
			return
		case t.split(now, b):
			continue
		case weak != nil:
			t.leave(b, weak)
			t.enter(now, b, e)
			return
		default:
			b.wait(e)
			return
		}
	}
}

func (t *table) enter(now time.Time, b *bucket, e *entry) {
	b.forgetSpare(e.Contact)
	b.nodes = append(b.nodes, e)
	t.places[placeOf(e.Addr)] = e
	b.changed = now
}

func (t *table) leave(b *bucket, e *entry) {
	b.remove(e)
	if p := placeOf(e.Addr); t.places[p] == e {
		delete(t.places, p)
	}
}

// drop takes a node out for good, spare or not.
func (t *table) drop(e *entry) {
	b := t.bucket(e.ID)
	t.leave(b, e)
	b.forgetSpare(e.Contact)
}

// split divides the bucket that our id is in. It returns false if b is another
// one, or can't be divided.
func (t *table) split(now time.Time, b *bucket) bool {
	n := len(t.buckets)
	if b != t.buckets[n-1] || n == maxBuckets {
		return false
	}
	next := &bucket{changed: now}
	t.buckets = append(t.buckets, next)
	for _, list := range []func(*bucket) *[]*entry{
		func(b *bucket) *[]*entry { return &b.nodes }, func(b *bucket) *[]*entry { return &b.spares },
	} {
		from, to := list(b), list(next)
		*from = slices.DeleteFunc(*from, func(e *entry) bool {
			deeper := common(t.own, e.ID) >= n
			if deeper {
				*to = append(*to, e)
			}
			return deeper
		})
	}
	return true
}

// asked takes in that somebody asked us. It says whether it is worth to make
// sure of him: there may be a place for him in the table.
func (t *table) asked(now time.Time, c Contact) bool {
	if c.ID == t.own {
		return false
	}
	if e := t.places[placeOf(c.Addr)]; e != nil {
		if e.Contact == c && !e.bad() {
			e.heard = now
		}
		return false
	}
	b := t.bucket(c.ID)
	e := &entry{Contact: c, fits: fits(c.ID, c.Addr.Addr())}
	return !b.crowded(e) && (len(b.nodes) < bucketSize || b == t.buckets[len(t.buckets)-1] || b.weakest(e) != nil)
}

// silent takes in that a node did not answer. When it is bad, one that waits for
// its place gets it.
func (t *table) silent(now time.Time, c Contact) {
	e := t.find(c.Addr)
	if e == nil || e.ID != c.ID && c.ID != (ID{}) {
		b := t.bucket(c.ID)
		b.forgetSpare(c)
		return
	}
	e.fails++
	b := t.bucket(e.ID)
	if e.bad() {
		for len(b.spares) > 0 {
			next := b.spares[len(b.spares)-1]
			b.spares = b.spares[:len(b.spares)-1]
			if t.places[placeOf(next.Addr)] == nil && next.good(now) {
				t.leave(b, e)
				if b.crowded(next) {
					continue
				}
				t.enter(now, b, next)
				return
			}
		}
	}
	if e.fails >= goneAfter {
		t.leave(b, e)
	}
}

// doubtful returns a node for whose place another one waits, and that has to be
// asked whether it is still there; ok is false if there is none.
func (t *table) doubtful(now time.Time) (c Contact, ok bool) {
	var worst *entry
	for _, b := range t.buckets {
		if len(b.spares) == 0 {
			continue
		}
		for _, e := range b.nodes {
			if !e.good(now) && now.Sub(e.questioned) >= minQuestions && (worst == nil || e.heard.Before(worst.heard)) {
				worst = e
			}
		}
	}
	if worst == nil {
		return c, false
	}
	worst.questioned = now
	return worst.Contact, true
}

// stale returns an id in a bucket that is not fresh any more, to be looked for;
// ok is false if there is none.
func (t *table) stale(now time.Time, rng *rand.Rand) (target ID, ok bool) {
	for i, b := range t.buckets {
		if now.Sub(b.changed) >= goodFor {
			b.changed = now
			return randomIn(t.own, i, i < len(t.buckets)-1, rng), true
		}
	}
	return target, false
}

// closest returns up to n nodes, the closest to target first: good ones, or
// all that are not bad.
func (t *table) closest(now time.Time, target ID, n int, good bool) (list []Contact) {
	take := func(buckets ...*bucket) {
		from := len(list)
		for _, b := range buckets {
			for _, e := range b.nodes {
				if e.good(now) || !good && !e.bad() {
					list = append(list, e.Contact)
				}
			}
		}
		slices.SortFunc(list[from:], func(a, b Contact) int { return compare(target, a.ID, b.ID) })
	}
	// The bucket of the target is closest; then come all that are deeper, which
	// differ from the target first at the same bit; then each one before.
	at := min(common(t.own, target), len(t.buckets)-1)
	take(t.buckets[at])
	if len(list) < n {
		take(t.buckets[at+1:]...)
	}
	for i := at - 1; i >= 0 && len(list) < n; i-- {
		take(t.buckets[i])
	}
	return list[:min(n, len(list))]
}

// contacts returns up to n good nodes, those of the fullest part of the table last.
func (t *table) contacts(now time.Time, n int) (list []Contact) {
	for _, b := range t.buckets {
		for _, e := range b.nodes {
			if e.good(now) && len(list) < n {
				list = append(list, e.Contact)
			}
		}
	}
	return list
}

// moved returns the table of another id with the same nodes.
func (t *table) moved(now time.Time, own ID) *table {
	next := newTable(now, own)
	for i := len(t.buckets) - 1; i >= 0; i-- {
		for _, e := range t.buckets[i].nodes {
			if e.ID != own {
				next.insert(now, e)
			}
		}
	}
	return next
}

func sortAddrs(list []netip.AddrPort) {
	slices.SortFunc(list, netip.AddrPort.Compare)
}
