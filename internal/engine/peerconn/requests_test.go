package peerconn

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestRequestedTwiceMayComeTwice(t *testing.T) {
	var r requests
	r.add(request(1, 0, 10))
	r.cancel(request(1, 0, 10))
	r.add(request(1, 0, 10))
	for i, want := range []bool{true, true, false} {
		if got := r.take(piece(1, 0, 10)); got != want {
			t.Errorf("copy %d: %v, want %v", i+1, got, want)
		}
	}
}

func TestCancelledRequestsMakeRoom(t *testing.T) {
	var r requests
	for i := range uint32(maxOutstanding) {
		if !r.add(request(i, 0, 10)) {
			t.Fatalf("request %d is one too many", i)
		}
	}
	if r.add(request(maxOutstanding, 0, 10)) {
		t.Fatal("one too many is accepted")
	}
	r.cancel(request(5, 0, 10))
	r.cancel(request(1<<31, 0, 10)) // Never asked for.
	if !r.add(request(maxOutstanding, 0, 10)) {
		t.Fatal("a cancelled one makes no room")
	}
	if r.take(piece(5, 0, 10)) || !r.take(piece(4, 0, 10)) {
		t.Error("another one was forgotten than the cancelled one")
	}
}

// What is left of a repeated request must not fill the set for ever.
func TestLeftoverOfARepeatedRequestMakesRoom(t *testing.T) {
	var r requests
	for i := range uint32(3 * maxOutstanding) {
		if !r.add(request(i, 0, 10)) {
			t.Fatalf("round %d: no room", i)
		}
		r.cancel(request(i, 0, 10))
		if !r.add(request(i, 0, 10)) || !r.take(piece(i, 0, 10)) {
			t.Fatalf("round %d: the repeated request does not count", i)
		}
	}
}

// Without the Fast extension a choke drops all requests (BEP 3), though a
// block may be on its way; with it each is rejected or answered (BEP 6).
func TestChokeAndReject(t *testing.T) {
	choke := wire.Message{ID: wire.Choke}
	for _, fast := range []bool{false, true} {
		c := &Conn{fast: fast}
		c.requests.add(request(1, 0, 10))
		c.note(choke)
		if stale := c.requests.blocks[place{1, 0}].stale; stale == fast {
			t.Errorf("fast %v: after a choke the request is stale: %v", fast, stale)
		}
		if fast {
			c.note(wire.Message{ID: wire.Reject, Index: 1, Begin: 0, Length: 10})
		}
		if got := c.requests.take(piece(1, 0, 10)); got == fast {
			t.Errorf("fast %v: the block may come: %v", fast, got)
		}
	}
}
