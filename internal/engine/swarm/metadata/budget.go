package metadata

import "slices"

// Kind tells small copies from large ones, which have room of their own, so
// that neither waits for the other.
type Kind uint8

// The kinds of copies.
const (
	Small Kind = iota // Of up to [MaxSmall] bytes.
	Large
	kinds
)

// KindOf returns the kind of a copy of so many bytes.
func KindOf(size int64) Kind {
	if size > MaxSmall {
		return Large
	}
	return Small
}

// Room is a fetch's share of the memory in which copies are made. Its methods
// return at once.
type Room interface {
	// Take takes room for a copy of so many bytes. If there is none, or it is
	// the turn of others, it returns false, and the share has its place among
	// those who wait: it is to ask again.
	Take(bytes int64) bool
	// Give gives it back.
	Give(bytes int64)
	// Leave gives up the place among those who wait.
	Leave(Kind)
	// Wanted says that others wait for such room who have less of it, so that
	// what comes on slowly should make room.
	Wanted(Kind) bool
}

// Budget divides the memory for copies in the making among any number of
// fetches. Room goes to those who have the least of it, and among them to who
// waits longest. It has one owner and does not lock.
type Budget struct {
	free    [kinds]int64
	waiting [kinds][]*Share // Who waits longest is first.
}

// NewBudget returns a budget of so many bytes for copies of each kind. That
// for large ones is at least [MaxSize], and the other at least [MaxSmall].
func NewBudget(small, large int64) *Budget { return &Budget{free: [kinds]int64{small, large}} }

// Share is what one fetch has of a Budget: a [Room]. Like its methods it
// belongs to the Budget's owner.
type Share struct {
	b     *Budget
	taken [kinds]int64
}

// Share returns a share that has nothing yet.
func (b *Budget) Share() *Share { return &Share{b: b} }

// Take implements [Room].
func (s *Share) Take(bytes int64) bool {
	k, b := KindOf(bytes), s.b
	if !slices.Contains(b.waiting[k], s) {
		b.waiting[k] = append(b.waiting[k], s)
	}
	if b.next(k) != s || bytes > b.free[k] {
		return false
	}
	s.Leave(k)
	s.taken[k] += bytes
	b.free[k] -= bytes
	return true
}

// next returns the share whose turn it is to take room.
func (b *Budget) next(k Kind) *Share {
	return slices.MinFunc(b.waiting[k], func(x, y *Share) int { return int(x.taken[k] - y.taken[k]) })
}

// Give implements [Room].
func (s *Share) Give(bytes int64) {
	k := KindOf(bytes)
	s.taken[k] -= bytes
	s.b.free[k] += bytes
}

// Leave implements [Room].
func (s *Share) Leave(k Kind) {
	s.b.waiting[k] = slices.DeleteFunc(s.b.waiting[k], func(o *Share) bool { return o == s })
}

// Wanted implements [Room].
func (s *Share) Wanted(k Kind) bool {
	return slices.ContainsFunc(s.b.waiting[k], func(o *Share) bool { return o.taken[k] < s.taken[k] })
}

// Close gives back all that the share has, and its place among those who wait.
func (s *Share) Close() {
	for k := range kinds {
		s.Leave(k)
		s.b.free[k] += s.taken[k]
		s.taken[k] = 0
	}
}
