package swarm

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

func testRoom() metadata.Room {
	return metadata.NewBudget(metadata.MaxSmall, metadata.MaxSize).Share()
}

// ports returns what peers are told of our node.
func ports(fx *Effects) (list []uint32) {
	for _, s := range fx.Send {
		if s.Msg.ID == wire.Port {
			list = append(list, s.Msg.Index)
		}
	}
	return list
}

func TestBEP5PeersThatTakePartInTheDHTAreToldOurPort(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		theirs bool
		told   bool
	}{
		"both take part":        {Config{DHTPort: 7}, true, true},
		"they don't":            {Config{DHTPort: 7}, false, false},
		"our node answers none": {Config{}, true, false},
		"private (BEP 27)":      {Config{DHTPort: 7, Private: true}, true, false},
	} {
		r := newRoom(c.config)
		e := hello(1, speaksPEX)
		e[0].DHT = c.theirs
		got := ports(r.do(e...))
		if want := []uint32{7}; c.told != slices.Equal(got, want) || !c.told && len(got) != 0 {
			t.Errorf("%s: told %v", name, got)
		}
	}
}

func TestBEP5APeersNodeIsHeardOfOnce(t *testing.T) {
	port := func(n uint32) Event {
		return Event{Kind: Received, Peer: 1, Msg: wire.Message{ID: wire.Port, Index: n}}
	}
	node := netip.AddrPortFrom(at(1).Addr(), 9)
	for name, c := range map[string]struct {
		private, takesPart bool
		want               []netip.AddrPort
	}{
		"takes part":                    {false, true, []netip.AddrPort{node}},
		"did not say so":                {false, false, nil},
		"of a private torrent (BEP 27)": {true, true, nil},
	} {
		for early, s := range map[bool]*Swarm{
			false: newRoom(Config{Private: c.private}).s,
			true:  NewResolving(epoch, Config{PeerID: key("me"), Private: c.private, Room: testRoom()}),
		} {
			e := hello(1, "de")
			e[0].DHT = c.takesPart
			s.Handle(epoch, e)
			got := slices.Clone(s.Handle(epoch, []Event{port(0), port(9), port(10)}).Nodes)
			got = append(got, s.Handle(epoch, []Event{port(11)}).Nodes...)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, early %v: %v", name, early, got)
			}
		}
	}
}

// What anybody may say has half of the room at most, whoever passes it on.
func TestPeersOfPEXAndTheDHTTogetherAtTheirLimit(t *testing.T) {
	s := newRoom(Config{}).s
	s.found(many(0, maxHearsay/2), FromPEX)
	s.found(many(maxHearsay, maxHearsay), FromDHT)
	if n := len(s.pool.list); n != maxHearsay {
		t.Errorf("%d addresses, want %d", n, maxHearsay)
	}
	if s.find(many(3*maxHearsay, 1)[0], FromPEX) != nil {
		t.Error("peers tell of one more")
	}
	if s.find(many(3*maxHearsay, 1)[0], FromTracker) == nil {
		t.Error("a tracker is not heard")
	}
}

func TestBEP27PeersOfTheDHTAreForgottenWhenATorrentTurnsOutToBePrivate(t *testing.T) {
	s := NewResolving(epoch, Config{PeerID: key("me"), Room: testRoom()})
	s.Handle(epoch, []Event{{Kind: Found, Addrs: many(0, 3), Source: FromDHT}, {Kind: Found, Addrs: many(10, 2), Source: FromTracker}})
	s.pool.drop(func(*candidate) bool { return false })
	s.Learn(epoch, []byte("de"), true)
	for _, c := range s.pool.list {
		if c.source == FromDHT && c.state == waiting {
			t.Errorf("%v is still known", c.addr)
		}
	}
}
