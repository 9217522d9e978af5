package peerconn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sockets are the kinds of connections that are read in different ways. Each
// makes a pair of them: our end, and the peer's.
var sockets = map[string]func(testing.TB) (ours, peers net.Conn){"TCP": tcpPair, "pipe": pipePair, "encrypted TCP": encryptedPair}

// tcpPair returns both ends of a TCP connection over loopback.
func tcpPair(tb testing.TB) (ours, peers net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	peers, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { peers.Close() })
	return ours, peers
}

// pipePair returns both ends of a connection that is not TCP.
func pipePair(tb testing.TB) (ours, peers net.Conn) {
	tb.Helper()
	ours, peers = net.Pipe()
	tb.Cleanup(func() { peers.Close() })
	return ours, peers
}

// encryptedPair is tcpPair with all that goes over it encrypted. A connection
// is made of our end by connect.
func encryptedPair(tb testing.TB) (ours, peers net.Conn) {
	tb.Helper()
	ours, peers = tcpPair(tb)
	terms := mse.Terms{Methods: []mse.Method{mse.RC4}}
	accepted := make(chan *mse.Stream, 1)
	go func() {
		s, _, err := mse.Accept(ours, nil, func(mse.Name) (mse.Terms, bool) { return terms, true })
		if err != nil {
			tb.Error(err)
		}
		accepted <- s
	}()
	s, err := mse.Initiate(peers, terms, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed{ours, <-accepted}, sealed{peers, s}
}

// sealed is an end of an encrypted connection.
type sealed struct {
	net.Conn
	stream *mse.Stream
}

func (s sealed) Read(p []byte) (int, error)  { return s.stream.Over(s.Conn).Read(p) }
func (s sealed) Write(p []byte) (int, error) { return s.stream.Over(s.Conn).Write(p) }

// connect is New for our end of any of the sockets.
func connect(cfg Config) *Conn {
	if s, ok := cfg.Conn.(sealed); ok {
		cfg.Conn, cfg.Stream = s.Conn, s.stream
	}
	return New(cfg)
}

// world is a sink and a source that remember everything.
type world struct {
	t        testing.TB
	unwanted bool          // Claim returns nil.
	stale    bool          // Commit returns false.
	hold     chan struct{} // If not nil, Deliver waits until it is closed.
	unread   error         // What ReadBlock returns.

	got     chan Received // Everything delivered, in order.
	started chan place    // Blocks claimed.

	mu        sync.Mutex
	leases    map[*byte]leased // By their first byte.
	ahead     int              // Claims ahead so far.
	done      map[place][]byte
	abandoned []place
	bursts    []int
	reads     []int // How many bytes were read at once for blocks to be served.

	aside sync.WaitGroup // What goes on beside the test; it ends with the connection.
}

// leased is a block's place that somebody has.
type leased struct {
	place place
	bytes []byte
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{
		t: tb, got: make(chan Received, 1<<17), started: make(chan place, 1<<10),
		leases: map[*byte]leased{}, done: map[place][]byte{},
	}
	tb.Cleanup(w.aside.Wait)
	return w
}

func (w *world) Claim(index, begin, length uint32) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := place{index, begin}
	w.started <- p
	return w.lease(p, length)
}

func (w *world) ClaimAhead(index, begin, length uint32) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ahead++; w.ahead%50 == 0 { // Sometimes there is no room.
		return nil
	}
	return w.lease(place{index, begin}, length)
}

func (w *world) lease(p place, length uint32) []byte {
	for _, l := range w.leases {
		if l.place == p {
			w.t.Errorf("%v is claimed while it is leased", p)
		}
	}
	if w.unwanted {
		return nil
	}
	b := make([]byte, length)
	w.leases[&b[0]] = leased{p, b}
	return b
}

// end takes a lease back.
func (w *world) end(lease []byte) leased {
	l, ok := w.leases[&lease[0]]
	if !ok || len(l.bytes) != len(lease) {
		w.t.Errorf("%d bytes are given back that were not leased, or not like this", len(lease))
	}
	delete(w.leases, &lease[0])
	return l
}

func (w *world) Commit(index, begin uint32, lease []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.end(lease)
	if l.place != (place{index, begin}) {
		w.t.Errorf("the place of %v is committed as that of %v", l.place, place{index, begin})
	}
	w.done[l.place] = l.bytes
	return !w.stale
}

func (w *world) Abandon(lease []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = append(w.abandoned, w.end(lease).place)
}

func (w *world) Deliver(_ *Conn, burst []Received) {
	if w.hold != nil {
		<-w.hold
	}
	w.mu.Lock()
	w.bursts = append(w.bursts, len(burst))
	w.mu.Unlock()
	for _, r := range burst {
		w.got <- r
	}
}

func (w *world) ReadBlock(dst []byte, index, begin uint32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads = append(w.reads, len(dst))
	copy(dst, content(index, begin, len(dst)))
	return w.unread
}

// content is what a block of the torrent holds.
func content(index, begin uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := uint32(i) + begin
		b[i] = byte(x ^ x>>8 ^ index*31)
	}
	return b
}

// run starts a connection over ours, and returns it and what its Run will
// return. It is stopped, and waited for, at the end of the test at the latest.
func (w *world) run(ours net.Conn, change func(*Config)) (*Conn, <-chan error) {
	cfg := Config{Conn: ours, Sink: w, Source: w, Fast: true, Extended: true, Pieces: 100}
	if change != nil {
		change(&cfg)
	}
	c := connect(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- c.Run(ctx)
	}()
	w.t.Cleanup(func() { cancel(); <-done })
	return c, result
}

// expect takes the next thing delivered and compares it.
func (w *world) expect(want Received) {
	w.t.Helper()
	got := <-w.got
	if got.Msg.ID != want.Msg.ID || got.Msg.Index != want.Msg.Index || got.Msg.Begin != want.Msg.Begin ||
		got.Msg.Length != want.Msg.Length || !bytes.Equal(got.Msg.Payload, want.Msg.Payload) ||
		got.Block != want.Block || got.Fresh != want.Fresh || got.Sent != want.Sent {
		w.t.Fatalf("delivered %+v, want %+v", got, want)
	}
}

// expectEnd waits for a connection's end and compares the reason.
func expectEnd(tb testing.TB, result <-chan error, reason string) {
	tb.Helper()
	err := <-result
	var e *Error
	if !errors.As(err, &e) || e.Reason() != reason {
		tb.Fatalf("the connection ended with %v, want %s", err, reason)
	}
}

// write writes to a connection that is expected to take it.
func write(tb testing.TB, conn net.Conn, b []byte) {
	tb.Helper()
	if _, err := conn.Write(b); err != nil {
		tb.Errorf("the peer can't write: %v", err)
	}
}

func messages(ms ...wire.Message) []byte {
	var b []byte
	for _, m := range ms {
		b = wire.Append(b, m)
	}
	return b
}

func request(index, begin, length uint32) wire.Message {
	return wire.Message{ID: wire.Request, Index: index, Begin: begin, Length: length}
}

func piece(index, begin, length uint32) wire.Message {
	return wire.Message{ID: wire.Piece, Index: index, Begin: begin, Length: length}
}

func have(index uint32) wire.Message { return wire.Message{ID: wire.Have, Index: index} }

// blockBytes is a whole piece message.
func blockBytes(index, begin, length uint32) []byte {
	return append(messages(piece(index, begin, length)), content(index, begin, int(length))...)
}

// next reads one message from a connection; the payload of a piece message is
// its Payload. It returns the error that ended the connection.
func next(conn io.Reader) (wire.Message, error) {
	var head [wire.LengthLen]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return wire.Message{}, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return wire.Message{}, err
	}
	if len(body) == 0 {
		return wire.Message{ID: wire.KeepAlive}, nil
	}
	if wire.ID(body[0]) == wire.Piece {
		m := wire.ParsePiece(body[1:], uint32(len(body)-1))
		m.Payload = slices.Clone(body[9:])
		return m, nil
	}
	return wire.Parse(wire.ID(body[0]), body[1:])
}

// expectNext reads one message from a connection and compares it.
func expectNext(tb testing.TB, conn io.Reader, want wire.Message) {
	tb.Helper()
	got, err := next(conn)
	if err != nil {
		tb.Fatalf("%v instead of %+v", err, want)
	}
	if want.ID == wire.Piece {
		want.Payload = content(want.Index, want.Begin, int(want.Length))
	}
	if got.ID != want.ID || got.Index != want.Index || got.Begin != want.Begin || got.Length != want.Length || !bytes.Equal(got.Payload, want.Payload) {
		tb.Fatalf("sent %v %d/%d/%d (%d bytes), want %v %d/%d/%d", got.ID, got.Index, got.Begin, got.Length, len(got.Payload), want.ID, want.Index, want.Begin, want.Length)
	}
}
