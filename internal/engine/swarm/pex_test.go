package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// room is a swarm among peers that all speak peer exchange, under id 7.
type room struct {
	s   *Swarm
	now time.Time
}

func newRoom(c Config) *room {
	c.Pieces, c.PieceLength, c.Length, c.PeerID, c.Port = 1, 16384, 16384, key("me"), 6881
	if c.MaxPeers == 0 {
		c.MaxPeers = 1000
	}
	return &room{New(epoch, c), epoch}
}

func at(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 6881)
}

func (r *room) do(events ...Event) *Effects { return r.s.Handle(r.now, events) }

func hello(n int, says string) []Event {
	return []Event{
		{Kind: Connected, Peer: Peer(n), Addr: at(n), PeerID: key(fmt.Sprint(n)), Extended: true},
		introduces(n, says),
	}
}

func introduces(n int, says string) Event {
	return Event{Kind: Received, Peer: Peer(n), Msg: wire.Extend(0, []byte(says))}
}

const speaksPEX = "d1:md6:ut_pexi7eee"

func (r *room) meet(says string, numbers ...int) {
	for _, n := range numbers {
		r.do(hello(n, says)...)
	}
}

// pass lets time go on second by second, and returns what each peer was told.
func (r *room) pass(t *testing.T, d time.Duration) map[Peer][]wire.PEX {
	t.Helper()
	out := map[Peer][]wire.PEX{}
	for range int(d / time.Second) {
		r.now = r.now.Add(time.Second)
		for _, m := range r.do().Send {
			if m.Msg.ID != wire.Extended || m.Msg.Payload[0] != 7 {
				continue
			}
			x, err := wire.ParsePEX(m.Msg.Payload[1:])
			if err != nil {
				t.Fatal(err)
			}
			out[m.Peer] = append(out[m.Peer], x)
		}
		if err := r.s.check(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func added(x wire.PEX) (a []netip.AddrPort) {
	for _, c := range x.Added {
		a = append(a, c.Addr)
	}
	return a
}

// BEP 11: who is connected is told once, who left is told too, and there is one
// message a minute at most.
func TestPEXTellsOfWhoComesAndGoes(t *testing.T) {
	r := newRoom(Config{})
	r.meet(speaksPEX, 1)
	r.meet("de", 2, 3)
	out := r.pass(t, 10*time.Second)
	if len(out) != 1 || len(out[1]) != 1 || !slices.Equal(added(out[1][0]), []netip.AddrPort{at(2), at(3)}) || out[1][0].Dropped != nil {
		t.Fatalf("first: %v", out)
	}
	r.do(Event{Kind: Gone, Peer: 2})
	r.meet("de", 4, 5)
	r.do(Event{Kind: Gone, Peer: 5})
	if out := r.pass(t, 40*time.Second); len(out) != 0 {
		t.Fatalf("within a minute: %v", out)
	}
	out = r.pass(t, 20*time.Second)
	if len(out[1]) != 1 || !slices.Equal(added(out[1][0]), []netip.AddrPort{at(4)}) || !slices.Equal(out[1][0].Dropped, []netip.AddrPort{at(2)}) {
		t.Fatalf("then: %v", out)
	}
	// Who leaves and comes again within the minute was never gone.
	r.do(Event{Kind: Gone, Peer: 3})
	e := hello(3, "de")
	e[0].Peer, e[1].Peer = 6, 6
	r.do(e...)
	if out := r.pass(t, 5*time.Minute); len(out) != 0 {
		t.Fatalf("nothing has changed: %v", out)
	}
}

func TestPEXFlags(t *testing.T) {
	r := newRoom(Config{})
	r.meet(speaksPEX, 1)
	r.meet("d1:ei1e1:md12:ut_holepunchi3ee11:upload_onlyi1ee", 2)
	e := hello(3, "d1:pi7000ee")
	e[0].Incoming, e[0].Addr = true, netip.AddrPortFrom(at(3).Addr(), 50000)
	r.do(e...)
	e = hello(4, "de") // Nobody knows where it listens.
	e[0].Incoming = true
	r.do(e...)
	x := r.pass(t, 10*time.Second)[1][0]
	want := []wire.Contact{
		{Addr: at(2), Flags: wire.PrefersEncryption | wire.WantsNothing | wire.SpeaksHolepunch | wire.Reachable},
		{Addr: netip.AddrPortFrom(at(3).Addr(), 7000)},
	}
	if !slices.Equal(x.Added, want) {
		t.Errorf("%v, want %v", x.Added, want)
	}
}

// BEP 11: no more than 50 who came and 50 who left in one message.
func TestPEXLimitsOfWhatIsTold(t *testing.T) {
	r := newRoom(Config{})
	r.meet(speaksPEX, 1)
	const n = maxTold + maxTell + 10
	for i := range n {
		r.meet("de", 100+i)
	}
	told := map[netip.AddrPort]bool{}
	take := func(minutes int, most int) (all []wire.PEX) {
		all = r.pass(t, time.Duration(minutes)*pexInterval)[1]
		for _, x := range all {
			if len(x.Added) > maxTell || len(x.Dropped) > maxTell {
				t.Fatalf("%d added, %d dropped", len(x.Added), len(x.Dropped))
			}
			for _, a := range x.Dropped {
				if !told[a] {
					t.Fatalf("%v left and was not told of", a)
				}
				delete(told, a)
			}
			for _, c := range x.Added {
				if told[c.Addr] || slices.Contains(x.Dropped, c.Addr) {
					t.Fatalf("%v is told of twice", c.Addr)
				}
				told[c.Addr] = true
			}
			if len(told) > most {
				t.Fatalf("it was told of %d", len(told))
			}
		}
		return all
	}
	if all := take(1, maxTell); len(all) != 1 || len(told) != maxTell {
		t.Fatalf("the first minute: %d messages, %d told", len(all), len(told))
	}
	if take(20, maxTold); len(told) != maxTold {
		t.Fatalf("told of %d, want %d", len(told), maxTold)
	}
	for i := range n {
		if i%2 == 0 {
			r.do(Event{Kind: Gone, Peer: Peer(100 + i)})
		}
	}
	if take(20, maxTold); len(told) != n/2 {
		t.Errorf("told of %d, want the %d who are left", len(told), n/2)
	}
}

// BEP 27: private torrents tell nobody and hear nobody.
func TestNoPEXInPrivateTorrentsOrWhereItIsDisabled(t *testing.T) {
	for name, c := range map[string]Config{"private": {Private: true}, "disabled": {NoPEX: true}} {
		r := newRoom(c)
		fx := r.do(hello(1, speaksPEX)...)
		var h wire.ExtendedHandshake
		if err := h.Update(fx.Send[0].Msg.Payload[1:]); err != nil || h.IDs[wire.ExtPEX] != 0 {
			t.Errorf("%s: it says it speaks peer exchange: %+v, %v", name, h, err)
		}
		r.meet("de", 2)
		if out := r.pass(t, 3*time.Minute); len(out) != 0 {
			t.Errorf("%s: it tells %v", name, out)
		}
		if r.do(tells(1, at(9))); r.s.Stats(r.now).Known != 0 {
			t.Errorf("%s: it hears of peers", name)
		}
	}
}

func TestPEXIsSwitchedWhileATorrentRuns(t *testing.T) {
	for private, want := range map[bool]int{false: 1, true: 0} {
		r := newRoom(Config{NoPEX: true, Private: private})
		r.meet(speaksPEX, 1)
		r.meet("de", 2)
		r.pass(t, time.Minute)
		intro := 0
		for _, m := range r.do(Event{Kind: Reconfigured}).Send {
			if m.Msg.ID == wire.Extended && m.Msg.Payload[0] == 0 {
				intro++
			}
		}
		if out := r.pass(t, time.Minute); intro != 2*want || len(out) != want {
			t.Errorf("private %v: enabled, it introduces itself %d times and tells %v", private, intro, out)
		}
		r.do(Event{Kind: Reconfigured, NoPEX: true})
		r.meet("de", 3)
		if out := r.pass(t, 2*time.Minute); len(out) != 0 {
			t.Errorf("disabled, it tells %v", out)
		}
	}
}

func tells(n int, addrs ...netip.AddrPort) Event {
	var x wire.PEX
	for _, a := range addrs {
		x.Added = append(x.Added, wire.Contact{Addr: a, Flags: 0})
	}
	return Event{Kind: Received, Peer: Peer(n), Msg: wire.Extend(uint8(wire.ExtPEX), x.Append(nil))}
}

func TestPeersHeardOfAreCalled(t *testing.T) {
	r := newRoom(Config{MaxPeers: 80})
	r.meet(speaksPEX, 1)
	fx := r.do(tells(1, at(2), at(1), at(3), netip.MustParseAddrPort("0.0.0.0:1"), netip.MustParseAddrPort("224.0.0.1:1"), netip.MustParseAddrPort("1.2.3.4:0")))
	slices.SortFunc(fx.Dial, netip.AddrPort.Compare)
	if !slices.Equal(fx.Dial, []netip.AddrPort{at(1), at(2), at(3)}) { // In this test 1 was nobody's candidate.
		t.Errorf("it calls %v", fx.Dial)
	}
	r.do(Event{Kind: Connected, Peer: 2, Addr: at(2), PeerID: key("2")})
	if p := r.s.Peers(r.now)[1]; p.Source != FromPEX {
		t.Errorf("the peer's source is %v", p.Source)
	}
}

// Some patience with messages that come early, and none with a flood.
func TestPEXRateLimitOfWhatIsHeard(t *testing.T) {
	r := newRoom(Config{})
	r.meet(speaksPEX, 1)
	burst := int(pexPatience/pexInterval) + 1
	for i := range burst + maxEarly {
		fx := r.do(tells(1, at(100+i)))
		if known := r.s.Stats(r.now).Known; known != min(i+1, burst) || len(fx.Close) != 0 {
			t.Fatalf("after %d messages it knows %d addresses, and closes %v", i+1, known, fx.Close)
		}
	}
	if fx := r.do(tells(1, at(500))); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonPEX {
		t.Errorf("a flood: %v", fx.Close)
	}
	// At one message a minute nothing is lost, and nobody is closed.
	r.meet(speaksPEX, 2)
	before := r.s.Stats(r.now).Known
	for i := range 30 {
		r.now = r.now.Add(pexInterval)
		if fx := r.do(tells(2, at(1000+i))); len(fx.Close) != 0 {
			t.Fatalf("it closes %v", fx.Close)
		}
	}
	if got := r.s.Stats(r.now).Known - before; got != 30 {
		t.Errorf("it heard of %d of 30", got)
	}
}

func TestOneHostCanNotFillWhatOnePeerTells(t *testing.T) {
	r := newRoom(Config{})
	r.meet(speaksPEX, 1)
	var many []netip.AddrPort
	for i := range maxPerAddr + 2 {
		many = append(many, netip.AddrPortFrom(at(9).Addr(), uint16(1+i)))
	}
	r.do(tells(1, many...))
	if n := r.s.Stats(r.now).Known; n != maxPerAddr {
		t.Errorf("%d addresses of one host, want %d", n, maxPerAddr)
	}
}

func TestPEXLeavesRoomForTrackers(t *testing.T) {
	s := New(epoch, Config{Pieces: 1, PieceLength: 16384, Length: 16384})
	s.found(many(0, maxHearsay+10), FromPEX)
	if n := len(s.pool.list); n != maxHearsay {
		t.Errorf("%d addresses from peers, want %d", n, maxHearsay)
	}
	s.found(many(5000, maxCandidates), FromTracker)
	if n := s.pool.from[FromTracker]; n != maxCandidates-maxHearsay {
		t.Errorf("%d addresses from trackers, want %d", n, maxCandidates-maxHearsay)
	}
}

func many(first, n int) (out []netip.AddrPort) {
	for i := range n {
		out = append(out, at(first+i))
	}
	return out
}

func TestGarbageInPEXEndsTheConnection(t *testing.T) {
	r := newRoom(Config{})
	r.meet(speaksPEX, 1)
	fx := r.do(Event{Kind: Received, Peer: 1, Msg: wire.Extend(uint8(wire.ExtPEX), []byte("d5:added5:abcdee"))})
	if len(fx.Close) != 1 || fx.Close[0].Reason != ReasonExtension {
		t.Errorf("closed: %v", fx.Close)
	}
}

// BEP 27: a magnet link does not say that its torrent is private. Until that is
// known nobody is told of anybody, and whom we know from peers alone is
// forgotten if it is.
func TestATorrentThatTurnsOutToBePrivateForgetsHearsay(t *testing.T) {
	for _, private := range []bool{false, true} {
		c, _ := aTorrent()
		s := &met{NewResolving(epoch, c), t, epoch}
		s.handle(hello(1, speaksPEX)...)
		s.handle(hello(2, "de")...)
		fx := s.handle(tells(1, at(3), at(4)))
		if len(fx.Dial) != 2 {
			t.Fatalf("it calls %v", fx.Dial)
		}
		e := hello(3, "de")
		s.handle(e...)
		s.now = s.now.Add(2 * time.Minute)
		for _, m := range s.handle().Send {
			if m.Msg.ID == wire.Extended && m.Msg.Payload[0] == 7 {
				t.Fatal("a torrent that may be private tells of its peers")
			}
		}
		c.Private = private
		fx = s.Learn(s.now, c.Metadata, private)
		closed := slices.Contains(fx.Close, Close{3, ReasonPrivate})
		if closed != private || s.pool.byAddr[at(4)] == nil && !private {
			t.Errorf("private %v: it closes %v, and knows %d addresses", private, fx.Close, len(s.pool.list))
		}
		s.Resolve(s.now, c)
		if err := s.check(); err != nil {
			t.Error(err)
		}
	}
}
