package peerconn

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// disordered returns what a peer sends that was asked for n blocks, one a
// piece: mostly in order, some blocks sooner or later, some refused, and small
// messages in between. Refused are those blocks.
func disordered(random *rand.Rand, n int) (all []byte, refused map[uint32]bool) {
	order, refused := make([]uint32, n), map[uint32]bool{}
	for i := range order {
		order[i] = uint32(i)
	}
	for range n / 8 {
		i, j := random.IntN(n), random.IntN(n)
		order[i], order[j] = order[j], order[i]
	}
	for _, i := range order {
		switch random.IntN(12) {
		case 0:
			refused[i] = true
			all = append(all, messages(wire.Message{ID: wire.Reject, Index: i, Length: length(i)})...)
			continue
		case 1:
			all = append(all, messages(have(i))...)
		case 2:
			all = append(all, messages(wire.Message{ID: wire.KeepAlive})...)
		}
		all = append(all, blockBytes(i, 0, length(i))...)
	}
	return all, refused
}

// length is how long the block of a piece is: mostly whole, some very short.
func length(i uint32) uint32 {
	if i%10 == 9 {
		return 1 + i%7
	}
	return wire.MaxBlock
}

// hangUp ends what the peer sends. To close, with requests unread, would take
// back what is on its way.
func hangUp(t *testing.T, peer net.Conn) {
	t.Helper()
	if s, ok := peer.(sealed); ok {
		peer = s.Conn
	}
	if err := peer.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
}

func TestWhateverOrderBlocksComeInTheyLandInTheirPlaces(t *testing.T) {
	const n = 300
	for seed := range uint64(10) {
		ours, peers := []func(testing.TB) (ours, peers net.Conn){tcpPair, encryptedPair}[seed%2](t)
		w := newWorld(t)
		c, result := w.run(ours, func(cfg *Config) { cfg.Pieces = n })
		for i := range uint32(n) {
			c.Send(wire.Message{ID: wire.Request, Index: i, Length: length(i)})
		}
		random := rand.New(rand.NewPCG(seed, 1))
		all, refused := disordered(random, n)
		for len(all) > 0 {
			k := min(len(all), 1+random.IntN(200_000))
			write(t, peers, all[:k])
			all = all[k:]
		}
		hangUp(t, peers)
		expectEnd(t, result, ReasonClosedByPeer)
		for i := range uint32(n) {
			got := w.done[place{i, 0}]
			if want := content(i, 0, int(length(i))); refused[i] == (got != nil) || got != nil && !bytes.Equal(got, want) {
				t.Fatalf("seed %d: block %d has %d bytes, refused: %v, or they are others", seed, i, len(got), refused[i])
			}
		}
		if len(w.leases) > 0 {
			t.Errorf("seed %d: %d leases are left over", seed, len(w.leases))
		}
	}
}

// What comes in order is read in few calls, so few blocks need a claim of
// their own.
func TestBlocksInOrderAreExpected(t *testing.T) {
	t.Run("TCP", func(t *testing.T) { expectsInOrder(t, tcpPair) })
	t.Run("encrypted TCP", func(t *testing.T) { expectsInOrder(t, encryptedPair) })
}

func expectsInOrder(t *testing.T, pair func(testing.TB) (ours, peers net.Conn)) {
	t.Helper()
	const n = 256
	ours, peers := pair(t)
	w := newWorld(t)
	c := connect(Config{Conn: ours, Sink: w, Pieces: n})
	var all []byte
	for i := range uint32(n) {
		c.Send(request(i, 0, wire.MaxBlock))
		all = append(all, blockBytes(i, 0, wire.MaxBlock)...)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		write(t, peers, all)
		hangUp(t, peers)
	}()
	result := make(chan error, 1)
	result <- c.Run(t.Context())
	expectEnd(t, result, ReasonClosedByPeer)
	<-sent
	if len(w.done) != n || len(w.leases) > 0 {
		t.Errorf("%d blocks of %d, and %d leases left over", len(w.done), n, len(w.leases))
	}
	if len(w.started) > n/2 {
		t.Errorf("%d blocks of %d were not expected", len(w.started), n)
	}
}

// A block that was refused and comes even so ends the connection, as one that
// was never asked for, although its place was ready.
func TestExpectedBlockThatWasRefusedIsUnrequested(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	c := connect(Config{Conn: ours, Sink: w, Fast: true, Extended: true, Pieces: 100})
	for i := range uint32(4) {
		c.Send(request(i, 0, wire.MaxBlock))
	}
	var all []byte
	for i := range uint32(2) {
		all = append(all, blockBytes(i, 0, wire.MaxBlock)...)
	}
	all = append(all, blockBytes(1, 0, wire.MaxBlock)...)
	all = append(all, blockBytes(2, 0, wire.MaxBlock)...)
	go func() { _, _ = peers.Write(all) }() // May fail: the other side hangs up before it has read all.
	result := make(chan error, 1)
	result <- c.Run(t.Context())
	expectEnd(t, result, ReasonUnrequested)
	if len(w.leases) > 0 {
		t.Errorf("%d leases are left over", len(w.leases))
	}
}

// A peer may take its time over a message that is no block. It holds no places
// of blocks meanwhile.
func TestNothingIsLeasedForALongMessage(t *testing.T) {
	ours, peers := tcpPair(t)
	w := newWorld(t)
	c, _ := w.run(ours, nil)
	var all []byte
	for i := range uint32(40) {
		c.Send(request(i, 0, wire.MaxBlock))
		if i < 20 {
			all = append(all, blockBytes(i, 0, wire.MaxBlock)...)
		}
	}
	write(t, peers, all)
	for range 20 {
		<-w.got
	}
	w.mu.Lock()
	before := w.ahead
	w.mu.Unlock()
	long := wire.Message{ID: wire.Extended, Payload: make([]byte, 3*bufferLen)}
	write(t, peers, messages(long))
	w.expect(Received{Msg: long})
	w.mu.Lock()
	defer w.mu.Unlock()
	if before == 0 || w.ahead != before {
		t.Errorf("%d claims ahead before the message, %d after it", before, w.ahead)
	}
}

func TestABlockIsExpectedOnce(t *testing.T) {
	var r requests
	r.add(request(1, 0, 10))
	r.add(request(2, 0, 10))
	r.cancel(request(2, 0, 10))
	r.add(request(2, 0, 10))
	if next := r.next(nil, 5); len(next) != 2 || next[0] != (place{1, 0}) || next[1] != (place{2, 0}) {
		t.Errorf("expected next: %v", next)
	}
}
