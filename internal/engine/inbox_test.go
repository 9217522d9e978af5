package engine

import (
	"testing"
	"testing/synctest"

	"github.com/torrent-operator/torrent-operator/internal/engine/peerconn"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestConnectionsWaitWhileTheInboxIsFull(t *testing.T) {
	for _, c := range []struct {
		name          string
		payload, most int // Of one message; messages that get in.
	}{
		{"messages without payload", 0, inboxRoom},
		{"bitfields of a megabyte", 1 << 20, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, in := newInbox(), 0
				message := wire.Message{ID: wire.Bitfield, Payload: make([]byte, c.payload)}
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 2 * inboxRoom {
						b.deliver(1, []peerconn.Received{{Msg: message}})
					}
				}()
				synctest.Wait()
				b.take(func(events []swarm.Event) { in = len(events) })
				if in == 0 || in > c.most {
					t.Errorf("%d messages got in, and %d may", in, c.most)
				}
				synctest.Wait()
				again := 0
				b.take(func(events []swarm.Event) { again = len(events) })
				if again != in {
					t.Errorf("%d messages got in after %d were taken", again, in)
				}
				b.close()
				<-done
			})
		})
	}
}
