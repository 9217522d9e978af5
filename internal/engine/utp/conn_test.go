package utp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire joins two sockets: what one sends the other receives.
type wire struct {
	sockets  [2]*Socket
	accepted chan *Conn // Of socket 1.
	cut      func(from int, b []byte) bool
	work     sync.WaitGroup
	stop     chan struct{}
}

var addrs = [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")}

func newWire(t *testing.T) *wire {
	w := &wire{accepted: make(chan *Conn, 100), stop: make(chan struct{}), cut: func(int, []byte) bool { return false }}
	var ways [2]chan [][]byte
	for i := range w.sockets {
		ways[i] = make(chan [][]byte, 10_000)
		w.sockets[i] = New(Config{
			Send: func(packets [][]byte, _ netip.AddrPort) {
				var kept [][]byte
				for _, p := range packets {
					if !w.cut(i, p) {
						kept = append(kept, slices.Clone(p))
					}
				}
				select {
				case ways[i] <- kept:
				default: // It is lost.
				}
			},
			Accept: func(c *Conn) {
				if i == 1 {
					w.accepted <- c
				} else {
					t.Error("the one that dials was called")
				}
			},
		})
	}
	for i := range w.sockets {
		w.work.Go(func() {
			for {
				select {
				case packets := <-ways[i]:
					w.sockets[1-i].Receive(packets, addrs[i])
				case <-w.stop:
					return
				}
			}
		})
	}
	t.Cleanup(w.close)
	return w
}

func (w *wire) close() {
	for _, s := range w.sockets {
		s.Close()
	}
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.work.Wait()
}

// pair returns both ends of a new connection.
func (w *wire) pair(t testing.TB) (dialed, called *Conn) {
	t.Helper()
	c, err := w.sockets[0].Dial(t.Context(), addrs[1])
	if err != nil {
		t.Fatal(err)
	}
	return c, <-w.accepted
}

// It is a connection as any other: deadlines, also past ones, concurrent use,
// and the ends of both directions.
func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		w := newWire(t)
		a, b := w.pair(t)
		return a, b, w.close, nil
	})
}

func TestBothSidesSayThatTheyAreDone(t *testing.T) {
	w := newWire(t)
	a, b := w.pair(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	go func() {
		_, _ = a.WriteParts([][]byte{want[:10], want[10:20], want[20:]})
		_ = a.CloseWrite()
	}()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(want), err)
	}
	// The other direction is open.
	if _, err := b.Write([]byte("thanks")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); err != nil || string(got) != "thanks" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := a.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write after the end: %v", err)
	}
}

func TestAResetEndsBothReadingAndWriting(t *testing.T) {
	w := newWire(t)
	a, b := w.pair(t)
	w.sockets[1].remove(b) // As if it had been restarted.
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a read: %v", err)
	}
	if _, err := a.Write([]byte("hello")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a write: %v", err)
	}
	b.abort()
}

func TestDialingEnds(t *testing.T) {
	w := newWire(t)
	w.cut = func(int, []byte) bool { return true }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.sockets[0].Dial(ctx, addrs[1]); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context has ended: %v", err)
	}
	w.sockets[0].Close()
	if _, err := w.sockets[0].Dial(t.Context(), addrs[1]); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the socket was closed: %v", err)
	}
}

// Many connections between the same two addresses, at once.
func TestManyConnectionsAtOnce(t *testing.T) {
	w := newWire(t)
	const n = 50
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			a, err := w.sockets[0].Dial(t.Context(), addrs[1])
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			if _, err := a.Write(bytes.Repeat([]byte{byte(i)}, 100_000)); err != nil {
				t.Error(err)
			}
			got := make([]byte, 1)
			if _, err := io.ReadFull(a, got); err != nil || got[0] != byte(i) {
				t.Errorf("%d: %v, %v", i, got, err)
			}
		})
		work.Go(func() {
			b := <-w.accepted
			defer b.Close()
			got := make([]byte, 100_000)
			if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, bytes.Repeat(got[:1], len(got))) {
				t.Errorf("%v", err)
				return
			}
			if _, err := b.Write(got[:1]); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
}
