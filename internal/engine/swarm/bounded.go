package swarm

// bounded is a map that forgets its oldest key when it holds its limit.
type bounded[K comparable, V any] struct {
	limit int
	m     map[K]V
	order []K // A ring; next is the oldest once it is full.
	next  int
}

func newBounded[K comparable, V any](limit int) bounded[K, V] {
	return bounded[K, V]{limit: limit, m: map[K]V{}}
}

func (b *bounded[K, V]) get(k K) (V, bool) {
	v, ok := b.m[k]
	return v, ok
}

func (b *bounded[K, V]) has(k K) bool {
	_, ok := b.m[k]
	return ok
}

func (b *bounded[K, V]) put(k K, v V) {
	if _, ok := b.m[k]; ok {
		b.m[k] = v
		return
	}
	if len(b.order) < b.limit {
		b.order = append(b.order, k)
	} else {
		delete(b.m, b.order[b.next])
		b.order[b.next] = k
		b.next = (b.next + 1) % b.limit
	}
	b.m[k] = v
}
