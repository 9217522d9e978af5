package peerconn

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// FuzzRead: whatever a peer sends, the connection ends with a reason, and each
// lease ends with a commit or an abandon.
func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(messages(wire.Message{ID: wire.HaveAll}, wire.Message{ID: wire.Unchoke}), blockBytes(1, 0, 100)...))
	f.Add(append(blockBytes(1, 0, 100), blockBytes(1, 0, 100)...))
	f.Add(blockBytes(2, 16384, 16384))
	f.Add(messages(wire.Message{ID: wire.Extended, Payload: make([]byte, 5000)}, have(1), request(1, 2, 3)))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, peers := net.Pipe()
		w := newWorld(t)
		c := New(Config{Conn: ours, Sink: w, Fast: true, Extended: true, Pieces: 100})
		c.Send(request(1, 0, 100), request(2, 16384, 16384))
		go func() {
			_, _ = next(peers)
			_, _ = next(peers)
			_, _ = peers.Write(b) // Cut off when the connection ends.
			peers.Close()
		}()
		err := c.Run(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Reason() == "" {
			t.Fatalf("it ended with %v", err)
		}
		if len(w.leases) > 0 {
			t.Fatalf("leases are left over: %d", len(w.leases))
		}
	})
}
