package swarm

import (
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// TestAllowedFastSet holds the two examples of BEP 6.
func TestAllowedFastSet(t *testing.T) {
	var infoHash [20]byte
	for i := range infoHash {
		infoHash[i] = 0xaa
	}
	want := []uint32{1059, 431, 808, 1217, 287, 376, 1188, 353, 508}
	ip := netip.MustParseAddr("80.4.4.200")
	for _, n := range []int{7, 9} {
		if got := fastSet(infoHash, ip, 1313, n); !slices.Equal(got, want[:n]) {
			t.Errorf("set of %d: %v, want %v", n, got, want[:n])
		}
	}
	for pieces, size := range map[int]int{99: 0, 100: 1, 999: 9, 1000: 10, 100_000: 10} {
		if got := allowedFast(infoHash, ip, pieces); len(got) != size {
			t.Errorf("of %d pieces %d are allowed, want %d", pieces, len(got), size)
		}
	}
	if got := allowedFast(infoHash, netip.MustParseAddr("::1"), 1000); got != nil {
		t.Errorf("an IPv6 peer is allowed %v", got)
	}
}

// feed plays a link of some rate and round trip, and returns the depth after a
// time: the peer sends what it was asked for in order, one block each 1/rate.
func feed(q *pipeline, bytesPerSecond int64, rtt, span time.Duration) {
	per := time.Duration(int64(time.Second) * block.Size / bytesPerSecond)
	var asked []time.Duration
	now, free := time.Duration(0), time.Duration(0)
	for now < span {
		for len(asked) < q.depth {
			asked = append(asked, now)
		}
		at := asked[0]
		asked = asked[1:]
		free = max(free, at+rtt) + per
		now = max(now, free)
		q.received(now, at, block.Size, false)
	}
}

func TestPipelineDepthIsRateTimesRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name     string
		rate     int64
		rtt      time.Duration
		fast     bool
		min, max int
	}{
		{"slow", 16 << 10, 50 * time.Millisecond, true, minDepth, 4},
		{"1 MB/s", 1 << 20, 20 * time.Millisecond, true, 60, 90},
		{"10 MB/s far away", 10 << 20, 200 * time.Millisecond, true, fastDepth, fastDepth},
		{"satellite", 1 << 20, 2 * time.Second, true, 128, 400},
		{"plain peer", 100 << 20, time.Millisecond, false, slowDepth, slowDepth},
		{"loopback", 1 << 30, 100 * time.Microsecond, true, localDepth, localDepth},
	} {
		q := newPipeline(c.fast)
		feed(&q, c.rate, c.rtt, 30*time.Second)
		if q.depth < c.min || q.depth > c.max {
			t.Errorf("%s: depth %d, want %d to %d", c.name, q.depth, c.min, c.max)
		}
		if q.slow {
			t.Errorf("%s: still in slow start", c.name)
		}
	}
}

func TestPipelineShrinksAfterReject(t *testing.T) {
	q := newPipeline(true)
	feed(&q, 50<<20, time.Millisecond, 5*time.Second)
	q.rejected(100)
	feed(&q, 50<<20, time.Millisecond, 5*time.Second)
	if q.depth != 100 {
		t.Errorf("depth %d, want the 100 that the peer took", q.depth)
	}
}

// BEP 10, "reqq": no more than the peer takes, and more than is safe with one
// that says nothing.
func TestPipelineHoldsWhatThePeerSaysItTakes(t *testing.T) {
	for told, want := range map[int]int{-1: 1, 1: 1, 2: 2, 10: 10, 500: 500, localDepth: localDepth, localDepth + 1: localDepth} {
		for _, fast := range []bool{false, true} {
			q := newPipeline(fast)
			q.told(told)
			feed(&q, 1<<30, time.Millisecond, 5*time.Second)
			if q.depth != want {
				t.Errorf("depth %d after %d, fast %v; want %d", q.depth, told, fast, want)
			}
			q.snub()
			q.revive(time.Minute)
			if q.depth > want {
				t.Errorf("depth %d after a snub, want at most %d", q.depth, want)
			}
		}
	}
}

func TestTimeoutFollowsWhatThePeerCanDo(t *testing.T) {
	q := newPipeline(true)
	if d := q.timeout(16); d != silentTimeout {
		t.Errorf("unknown: %v", d)
	}
	feed(&q, 4<<10, 50*time.Millisecond, time.Minute)
	if d := q.timeout(4); d != maxTimeout {
		t.Errorf("a very slow peer has %v, want %v", d, maxTimeout)
	}
	q = newPipeline(true)
	feed(&q, 1<<20, 50*time.Millisecond, time.Minute)
	if d := q.timeout(64); d != minTimeout {
		t.Errorf("a quick peer has %v, want %v", d, minTimeout)
	}
}

func TestQueueFindsOpenBeforeDead(t *testing.T) {
	var q queue
	q.push(entry{index: 1})
	q.push(entry{index: 2})
	q.mark(q.find(1, 0), lost)
	q.push(entry{index: 1, at: 5})
	if r := q.find(1, 0); r == nil || r.state != live || r.at != 5 {
		t.Fatalf("found %+v", r)
	}
	q.mark(q.find(1, 0), answered)
	if r := q.find(1, 0); r == nil || r.state != lost {
		t.Errorf("found %+v, want the lost one", r)
	}
	if q.open != 1 {
		t.Errorf("%d open, want 1", q.open)
	}
	q.mark(q.find(2, 0), answered)
	q.expire(10)
	if len(q.all()) != 0 || q.find(1, 0) != nil {
		t.Errorf("left: %+v", q.all())
	}
}

func TestQueueMemoryIsBounded(t *testing.T) {
	var q queue
	for i := range uint32(20_000) {
		q.push(entry{index: i})
		if i >= 100 {
			q.mark(q.find(i-100, 0), answered)
		}
	}
	if q.open != 100 || cap(q.entries) > 1000 {
		t.Errorf("%d open in %d places", q.open, cap(q.entries))
	}
}

// TestQueueIsBoundedBehindAStuckRequest plays a peer that never answers its
// first request, and one that chokes and unchokes all the time.
func TestQueueIsBoundedBehindAStuckRequest(t *testing.T) {
	for _, end := range []entryState{answered, lost} {
		var q queue
		q.push(entry{index: 0})
		for i := range uint32(10_000) {
			q.push(entry{index: i + 1})
			q.mark(q.find(i+1, 0), end)
		}
		if q.open != 1 || len(q.all()) > maxDead+2 || q.find(0, 0) == nil {
			t.Errorf("%d open, %d kept", q.open, len(q.all()))
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(d time.Duration) time.Duration { return time.Hour + d }
	if m.rate(at(0)) != 0 {
		t.Error("a rate of nothing")
	}
	m.add(at(0), 1000)
	if r := m.rate(at(0)); r != 1000 {
		t.Errorf("at once: %d", r)
	}
	for s := range 60 {
		for range 10 {
			m.add(at(time.Duration(s)*time.Second+500*time.Millisecond), 100)
		}
	}
	if r := m.rate(at(59900 * time.Millisecond)); r < 950 || r > 1050 {
		t.Errorf("of 1000 a second: %d", r)
	}
	if r := m.rate(at(75 * time.Second)); r != 0 {
		t.Errorf("long after: %d", r)
	}
}

func TestBoundedForgetsTheOldest(t *testing.T) {
	b := newBounded[int, string](3)
	for i := range 5 {
		b.put(i, "")
	}
	b.put(4, "x")
	if b.has(0) || b.has(1) || !b.has(2) || !b.has(3) {
		t.Errorf("left: %v", b.m)
	}
	if v, ok := b.get(4); !ok || v != "x" || len(b.m) != 3 {
		t.Errorf("left: %v", b.m)
	}
}

func TestAddressesAreBounded(t *testing.T) {
	s := New(epoch, Config{Pieces: 1, PieceLength: block.Size, Length: 5, MaxPeers: 2000})
	var all []netip.AddrPort
	for i := range 3000 {
		all = append(all, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1))
	}
	fx := s.Handle(epoch, []Event{{Kind: Found, Addrs: all}})
	if len(fx.Dial) != maxDialing || len(s.pool.list) != maxCandidates {
		t.Errorf("%d dialed of %d", len(fx.Dial), len(s.pool.list))
	}
	// Those that failed make room for new ones.
	var events []Event
	for _, a := range fx.Dial {
		events = append(events, Event{Kind: DialFailed, Addr: a})
	}
	s.Handle(epoch, events)
	s.Handle(epoch, []Event{{Kind: Found, Addrs: all[maxCandidates:]}})
	if err := s.check(); err != nil {
		t.Error(err)
	}
	late := 0
	for _, a := range all[maxCandidates:] {
		if s.pool.byAddr[a] != nil {
			late++
		}
	}
	if late == 0 {
		t.Error("no new address took the place of one that failed")
	}
}

func TestPeersTellsOfEachConnection(t *testing.T) {
	s := New(epoch, Config{Pieces: 2, PieceLength: block.Size, Length: 2 * block.Size})
	at := netip.MustParseAddrPort("[::ffff:10.0.0.1]:5")
	s.Handle(epoch, []Event{
		{Kind: Connected, Peer: 3, Addr: at, PeerID: key("x"), Fast: true, Incoming: true},
		{Kind: Received, Peer: 3, Msg: wire.Message{ID: wire.HaveAll}},
		{Kind: Received, Peer: 3, Msg: wire.Message{ID: wire.Unchoke}},
		{Kind: Received, Peer: 3, Msg: wire.Message{ID: wire.Interested}},
	})
	want := PeerStats{
		Peer: 3, Addr: netip.MustParseAddrPort("10.0.0.1:5"), PeerID: key("x"), Source: FromIncoming, Incoming: true, Fast: true,
		Since: epoch, Pieces: 2, Complete: true, Interested: true, Interesting: true, Unchoked: true, UnchokedUs: true,
		Requests: 2, Depth: startDepth,
	}
	if got := s.Peers(epoch); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if st := s.Stats(epoch); st.Seeds != 1 || st.Connected != 1 || st.Known != 1 || s.Have().Count() != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestRequestsThatAreNotServedAreBounded(t *testing.T) {
	s := New(epoch, Config{Pieces: 1, PieceLength: block.Size, Length: block.Size, Have: bits("1")})
	events := []Event{
		{Kind: Connected, Peer: 1, Addr: addr(1), PeerID: key("x")},
		{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Interested}},
	}
	s.Handle(epoch, events)
	request := Event{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Request, Length: 1}}
	for range maxQueue {
		if fx := s.Handle(epoch, []Event{request}); len(fx.Close) > 0 || len(fx.Send) != 1 {
			t.Fatalf("before the limit: %+v", fx)
		}
	}
	fx := s.Handle(epoch, []Event{request})
	if len(fx.Close) != 1 || fx.Close[0].Reason != ReasonFlood {
		t.Errorf("after the limit: %+v", fx)
	}
}

// TestPassedOverBlockGoesToAnother plays a peer that sends everything but the
// first block that it was asked for.
func TestPassedOverBlockGoesToAnother(t *testing.T) {
	const pieces = 600
	s := New(epoch, Config{Pieces: pieces, PieceLength: block.Size, Length: pieces * block.Size})
	var asked []wire.Message
	collect := func(fx *Effects) (events []Event) {
		for _, e := range fx.Send {
			if e.Msg.ID == wire.Request && e.Peer == 1 {
				asked = append(asked, e.Msg)
			}
		}
		for _, f := range fx.Finish {
			events = append(events, Event{Kind: PieceDone, OK: true, Msg: wire.Message{Index: f.Piece}})
		}
		return events
	}
	collect(s.Handle(epoch, []Event{
		{Kind: Connected, Peer: 1, Addr: addr(1), PeerID: key("x"), Fast: true},
		{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.HaveAll}},
		{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Unchoke}},
	}))
	skipped := asked[0]
	asked = asked[1:]
	var events []Event
	now := epoch
	for range 125 {
		now = now.Add(time.Second)
		m := asked[0]
		asked = asked[1:]
		m.ID = wire.Piece
		events = collect(s.Handle(now, append(events, Event{Kind: Block, Peer: 1, Fresh: true, Msg: m})))
	}
	fx := s.Handle(now, []Event{
		{Kind: Connected, Peer: 2, Addr: addr(2), PeerID: key("y"), Fast: true},
		{Kind: Received, Peer: 2, Msg: wire.Message{ID: wire.HaveAll}},
		{Kind: Received, Peer: 2, Msg: wire.Message{ID: wire.Unchoke}},
	})
	for _, e := range fx.Send {
		if e.Peer == 2 && e.Msg.ID == wire.Request {
			if e.Msg.Index != skipped.Index {
				t.Errorf("the second peer was asked for piece %d first, want %d", e.Msg.Index, skipped.Index)
			}
			return
		}
	}
	t.Error("the second peer was asked for nothing")
}

func TestOneAddressCannotTakeAllPlaces(t *testing.T) {
	for _, c := range []struct {
		name   string
		addr   func(i byte) netip.Addr
		stayed int
	}{
		{"one IPv4 address", func(byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, 9}) }, maxPerAddr},
		{"one IPv4 address as IPv6", func(byte) netip.Addr { return netip.MustParseAddr("::ffff:10.0.0.9") }, maxPerAddr},
		{"one IPv6 network of a host", func(i byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0x20, 7: 1, 15: i}) }, maxPerAddr},
		{"IPv4 addresses", func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, i}) }, 50},
		{"IPv6 networks", func(i byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0x20, 7: i}) }, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(epoch, Config{Pieces: 1, PieceLength: block.Size, Length: 5})
			var events []Event
			for i := range 50 {
				events = append(events, Event{
					Kind: Connected, Peer: Peer(i + 1), PeerID: key(strconv.Itoa(i)), Incoming: i%2 == 0,
					Addr: netip.AddrPortFrom(c.addr(byte(i)), uint16(1000+i)),
				})
			}
			fx := s.Handle(epoch, events)
			if len(s.peers) != c.stayed || len(fx.Close) != 50-c.stayed {
				t.Errorf("%d of 50 stayed and %d were closed, want %d to stay", len(s.peers), len(fx.Close), c.stayed)
			}
			if n := s.Stats(epoch).Closes[ReasonAddress]; n != 50-c.stayed {
				t.Errorf("%d were closed for their address", n)
			}
		})
	}
}

// New ports and ids cost a liar nothing, so there is an end to sparing those who
// share its address.
func TestAnAddressOfManyLiarsIsBannedAlsoIfOthersShareIt(t *testing.T) {
	s := New(epoch, Config{Pieces: 1, PieceLength: block.Size, Length: block.Size})
	from := func(p Peer) Event {
		return Event{
			Kind: Connected, Peer: p, PeerID: key(strconv.Itoa(int(p))), Incoming: true,
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 9}), uint16(p)),
		}
	}
	lie := func(p Peer) bool {
		fx := s.Handle(epoch, []Event{
			from(p),
			{Kind: Received, Peer: p, Msg: wire.Message{ID: wire.Bitfield, Payload: []byte{0x80}}},
			{Kind: Received, Peer: p, Msg: wire.Message{ID: wire.Unchoke}},
		})
		if len(fx.Close) > 0 {
			return false
		}
		s.Handle(epoch, []Event{{Kind: Block, Peer: p, Fresh: true, Msg: wire.Message{ID: wire.Piece, Length: block.Size}}})
		s.Handle(epoch, []Event{{Kind: PieceDone, Digests: []uint64{1}}, {Kind: Gone, Peer: p}})
		return true
	}
	s.Handle(epoch, []Event{from(1000)})
	liars := 0
	for lie(Peer(liars + 1)) {
		liars++
	}
	if liars != maxLiars || !s.byID[1000].closing {
		t.Errorf("%d liars got through, and %d is the limit", liars, maxLiars)
	}
}
