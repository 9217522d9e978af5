package swarm

import (
	"bytes"
	"crypto/sha1"
	"slices"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// aTorrent is three pieces of which the info dictionary, of two pieces, is not
// known.
func aTorrent() (c Config, info []byte) {
	info = bytes.Repeat([]byte("information "), 2000)
	return Config{
		Pieces: 3, PieceLength: 2 * block.Size, Length: 6 * block.Size,
		InfoHash: sha1.Sum(info), PeerID: key("me"), Seed: 1, Metadata: info,
		Room: metadata.NewBudget(metadata.MaxSmall, metadata.MaxSize).Share(),
	}, info
}

// met is a swarm of a torrent that is being resolved, and what was sent.
type met struct {
	*Swarm
	t   *testing.T
	now time.Time
}

func newMet(t *testing.T) (*met, []byte) {
	c, info := aTorrent()
	s := &met{NewResolving(epoch, c), t, epoch}
	s.handle()
	return s, info
}

func (s *met) handle(events ...Event) *Effects {
	s.t.Helper()
	fx := s.Handle(s.now, events)
	if err := s.check(); err != nil {
		s.t.Fatal(err)
	}
	return fx
}

// connect has a peer call that offers so many bytes of metadata.
func (s *met) connect(p Peer, size int) *Effects {
	h := wire.ExtendedHandshake{MetadataSize: int64(size)}
	h.SetExtensions(wire.ExtMetadata)
	sc := &script{}
	e := Event{Peer: p}
	sc.connect(&e, []string{"extended", "fast"})
	return s.handle(e, Event{Kind: Received, Peer: p, Msg: wire.Extend(0, h.Append(nil))})
}

func (s *met) says(p Peer, ms ...wire.Message) *Effects {
	var events []Event
	for _, m := range ms {
		events = append(events, Event{Kind: Received, Peer: p, Msg: m})
	}
	return s.handle(events...)
}

// metadataFor returns the metadata messages for a peer.
func metadataFor(fx *Effects, p Peer) (all []wire.Metadata) {
	for _, e := range fx.Send {
		if e.Peer != p || e.Msg.ID != wire.Extended {
			continue
		}
		if x, content := e.Msg.Extension(); x == wire.ExtMetadata {
			m, err := wire.ParseMetadata(content)
			if err != nil {
				panic(err)
			}
			all = append(all, m)
		}
	}
	return all
}

func piece(info []byte, i int) wire.Message {
	m := wire.Metadata{
		Kind: wire.MetadataData, Piece: i, TotalSize: int64(len(info)),
		Data: info[i*wire.MetadataPiece : min(len(info), (i+1)*wire.MetadataPiece)],
	}
	return m.Message(uint8(wire.ExtMetadata))
}

func request(i int) wire.Message {
	m := wire.Metadata{Kind: wire.MetadataRequest, Piece: i}
	return m.Message(uint8(wire.ExtMetadata))
}

// left says that a piece of metadata has left for a peer.
func left(p Peer) Event {
	return Event{Kind: Sent, Peer: p, Msg: wire.Message{ID: wire.Extended, Length: wire.MetadataPiece}}
}

func ids(list []Send, p Peer) (all []wire.ID) {
	for _, e := range list {
		if e.Peer == p {
			all = append(all, e.Msg.ID)
		}
	}
	return all
}

// What peers say of pieces before anybody knows what a piece is counts once
// that is known, on the same connections (BEP 9).
func TestConnectionsGoOnOnceTheTorrentIsKnown(t *testing.T) {
	s, info := newMet(t)
	fx := s.connect(1, len(info))
	if got := metadataFor(fx, 1); len(got) != 2 || got[0].Kind != wire.MetadataRequest {
		t.Fatalf("it asks %+v", got)
	}
	for _, id := range ids(fx.Send, 1) {
		if id != wire.Extended {
			t.Errorf("it says %v of a torrent that it does not know", id)
		}
	}
	s.says(1, wire.Message{ID: wire.HaveAll}, wire.Message{ID: wire.Unchoke})
	s.says(1, piece(info, 1))
	fx = s.says(1, piece(info, 0))
	if !bytes.Equal(fx.Info, info) {
		t.Fatalf("it has %d bytes", len(fx.Info))
	}
	c, _ := aTorrent()
	if offered := offers(t, s.Learn(s.now, info, false), 1); offered != len(info) {
		t.Errorf("it offers %d bytes of metadata", offered)
	}
	fx = s.Resolve(s.now, c)
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, id := range ids(fx.Send, 1) {
		if id == wire.Request {
			asked++
		}
	}
	if asked != 6 {
		t.Errorf("it asks for %d blocks: %v", asked, ids(fx.Send, 1))
	}
}

// offers returns how many bytes of metadata a peer is told that we have.
func offers(t *testing.T, fx *Effects, p Peer) int {
	t.Helper()
	var h wire.ExtendedHandshake
	for _, e := range fx.Send {
		if e.Peer != p || e.Msg.ID != wire.Extended {
			continue
		}
		if x, content := e.Msg.Extension(); x == wire.ExtHandshake {
			if err := h.Update(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	return int(h.MetadataSize)
}

// Until it is known what of the torrent is on the disk, which may take long,
// peers are kept and taken, and get the info dictionary.
func TestPeersAreServedMetadataWhileTheFilesAreChecked(t *testing.T) {
	s, info := newMet(t)
	s.connect(1, len(info))
	s.connect(2, 0)
	s.says(1, wire.Message{ID: wire.HaveAll}, piece(info, 0), piece(info, 1))
	fx := s.Learn(s.now, info, false)
	if n := offers(t, fx, 2); n != len(info) {
		t.Errorf("one who is here is offered %d bytes", n)
	}
	if n := offers(t, s.connect(3, 0), 3); n != len(info) {
		t.Errorf("one who calls is offered %d bytes", n)
	}
	for p := Peer(2); p <= 3; p++ {
		fx := s.says(p, wire.Message{ID: wire.Have, Index: 1}, wire.Message{ID: wire.Interested}, request(0), request(1))
		if got := metadataFor(fx, p); len(got) != 2 || !bytes.Equal(append(got[0].Data, got[1].Data...), info) {
			t.Errorf("peer %d gets %+v", p, got)
		}
	}
	for range 60 {
		s.now = s.now.Add(time.Second)
		for _, e := range s.handle().Send {
			if e.Msg.ID == wire.Unchoke || e.Msg.ID == wire.Request || e.Msg.ID == wire.Interested {
				t.Fatalf("it says %v to peer %d", e.Msg.ID, e.Peer)
			}
		}
	}
	c, _ := aTorrent()
	c.Have = bits("111")
	fx = s.Resolve(s.now, c)
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	for p := Peer(2); p <= 3; p++ {
		if got := ids(fx.Send, p); !slices.Contains(got, wire.HaveAll) || !slices.Contains(got, wire.Unchoke) {
			t.Errorf("once the files are checked peer %d is told %v", p, got)
		}
		if !s.byID[p].pick.Has(1) {
			t.Errorf("what peer %d said that it has is forgotten", p)
		}
	}
	if len(fx.Close) != 1 || fx.Close[0] != (Close{1, ReasonSeeds}) {
		t.Errorf("closed: %v", fx.Close)
	}
}

func TestWhoSentAllOfWrongMetadataIsBanned(t *testing.T) {
	s, info := newMet(t)
	s.connect(1, len(info))
	wrong := bytes.Clone(info)
	wrong[0] ^= 1
	fx := s.says(1, piece(wrong, 0), piece(wrong, 1))
	if len(fx.Ban) != 1 || len(fx.Close) != 1 || fx.Close[0].Reason != ReasonBanned || fx.Info != nil {
		t.Errorf("%+v", fx)
	}
	fx = s.connect(2, len(info))
	if len(metadataFor(fx, 2)) != 2 {
		t.Errorf("the next is asked %+v", metadataFor(fx, 2))
	}
}

func TestMetadataThatNobodyAskedForEndsTheConnection(t *testing.T) {
	for what, m := range map[string]wire.Message{
		"a piece":  piece([]byte("x"), 0),
		"a reject": (&wire.Metadata{Kind: wire.MetadataReject, Piece: 7}).Message(uint8(wire.ExtMetadata)),
		"garbage":  wire.Extend(uint8(wire.ExtMetadata), []byte("x")),
	} {
		s, _ := newMet(t)
		s.connect(1, 0)
		if fx := s.says(1, m); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonExtension {
			t.Errorf("%s: %+v", what, fx.Close)
		}
	}
}

func TestOfWhatUseAPeerIsToWhoKnowsOnlyTheHash(t *testing.T) {
	s, _ := newMet(t)
	sc := &script{}
	e := Event{Peer: 1}
	sc.connect(&e, nil)
	if fx := s.handle(e); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonNoMetadata {
		t.Errorf("without extensions: %+v", fx.Close)
	}
	if fx := s.connect(2, metadata.MaxSize+1); len(fx.Close) != 1 || fx.Close[0].Reason != ReasonExtension {
		t.Errorf("with too much: %+v", fx.Close)
	}
	if fx := s.connect(3, 0); len(fx.Close) != 0 {
		t.Errorf("with none yet: %+v", fx.Close)
	}
	fx := s.says(3, request(0))
	if got := metadataFor(fx, 3); len(got) != 1 || got[0].Kind != wire.MetadataReject {
		t.Errorf("asked for what is not known it says %+v", got)
	}
	if fx := s.connect(4, 100); len(metadataFor(fx, 4)) != 1 {
		t.Errorf("one with metadata is asked %+v", metadataFor(fx, 4))
	}
	for range 6 { // It never answers.
		s.now = s.now.Add(time.Minute)
		s.handle()
	}
	if n := s.Stats(s.now).Closes[ReasonNoMetadata]; n != 2 {
		t.Errorf("a silent peer is kept: %v", s.Stats(s.now).Closes)
	}
}

// BEP 9: requests are answered, at a bounded rate, and after a number of them
// rejected.
func TestMetadataIsServedAtABoundedRate(t *testing.T) {
	c, info := aTorrent()
	c.Have = bits("111")
	s := &met{New(epoch, c), t, epoch}
	fx := s.connect(1, 0)
	var h wire.ExtendedHandshake
	if err := h.Update(fx.Send[0].Msg.Payload[1:]); err != nil || h.MetadataSize != int64(len(info)) || h.IDs[wire.ExtMetadata] == 0 {
		t.Fatalf("it offers %+v, %v", h, err)
	}
	got := metadataFor(s.says(1, request(0), request(1)), 1)
	if len(got) != 2 || !bytes.Equal(append(got[0].Data, got[1].Data...), info) {
		t.Fatalf("it sends %+v", got)
	}
	for what, n := range map[string]int{"beyond the end": 2, "far beyond": 1 << 30} {
		if got := metadataFor(s.says(1, request(n)), 1); len(got) != 1 || got[0].Kind != wire.MetadataReject || got[0].Piece != n {
			t.Errorf("%s: %+v", what, got)
		}
	}
	sent := 2
	for range 100 {
		for _, m := range metadataFor(s.says(1, request(0)), 1) {
			if m.Kind == wire.MetadataData {
				sent++
				s.handle(left(1))
			}
		}
		s.now = s.now.Add(time.Second)
		s.handle()
	}
	if sent != 2*maxMetadataTimes {
		t.Errorf("%d pieces were sent", sent)
	}
}

func TestMetadataRequestsInABurstWaitTheirTurn(t *testing.T) {
	c, _ := aTorrent()
	c.Metadata = make([]byte, 200*wire.MetadataPiece)
	s := &met{New(epoch, c), t, epoch}
	s.now = s.now.Add(time.Second)
	s.handle()
	s.connect(1, 0)
	count := func(fx *Effects) (data, rejects int) {
		for _, m := range metadataFor(fx, 1) {
			if m.Kind == wire.MetadataData {
				data++
			} else {
				rejects++
			}
		}
		return data, rejects
	}
	var all []wire.Message
	for i := range metadataBurst + maxMetadataQueue + 3 {
		all = append(all, request(i))
	}
	if data, rejects := count(s.says(1, all...)); data != metadataBurst || rejects != 3 {
		t.Errorf("%d are sent at once and %d rejected", data, rejects)
	}
	s.now = s.now.Add(time.Minute)
	if data, _ := count(s.handle()); data != 0 {
		t.Errorf("%d are sent although none of the first has left", data)
	}
	for i := range 3 {
		if data, _ := count(s.handle(left(1))); data != 1 {
			t.Errorf("%d are sent when number %d of the first has left", data, i)
		}
	}
	for range 2 * metadataBurst {
		s.handle(left(1))
	}
	for range maxMetadataQueue/metadataBurst - 2 {
		s.now = s.now.Add(time.Second)
		if data, _ := count(s.handle()); data != metadataBurst {
			t.Errorf("%d are sent a second later", data)
		}
		for range metadataBurst {
			if data, _ := count(s.handle(left(1))); data != 0 {
				t.Errorf("%d are sent beyond what a second lets", data)
			}
		}
	}
	s.now = s.now.Add(time.Second)
	if data, _ := count(s.handle()); data != metadataBurst {
		t.Errorf("%d are sent at last", data)
	}
	s.now = s.now.Add(time.Second)
	if data, _ := count(s.handle()); data != 0 {
		t.Errorf("%d too many", data)
	}
}

// FuzzResolving has strangers say anything to a swarm that knows only the hash.
func FuzzResolving(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 2, 1, 3, 1, 6, 1, 7, 0})
	f.Add([]byte{0, 1, 0, 2, 2, 2, 3, 1, 4, 1, 5, 2, 8, 1, 9, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		c, info := aTorrent()
		s := &met{NewResolving(epoch, c), t, epoch}
		learned, resolved := false, false
		for ; len(script) >= 2; script = script[2:] {
			p, arg := Peer(script[1]%5), int(script[1])
			var fx *Effects
			switch script[0] % 10 {
			case 0:
				if s.byID[p] == nil {
					fx = s.connect(p, len(info)+arg/5%3)
				}
			case 1:
				fx = s.says(p, piece(info, arg/5%2))
			case 2:
				fx = s.says(p, piece(bytes.Repeat([]byte{7}, len(info)), arg/5%2))
			case 3:
				fx = s.says(p, wire.Message{ID: wire.HaveAll}, wire.Message{ID: wire.Unchoke})
			case 4:
				fx = s.says(p, wire.Message{ID: wire.Bitfield, Payload: []byte{byte(arg)}})
			case 5:
				fx = s.says(p, wire.Message{ID: wire.Have, Index: uint32(arg)})
			case 6:
				fx = s.says(p, request(arg))
			case 7:
				fx = s.handle(Event{Kind: Gone, Peer: p})
			case 8:
				if arg%2 == 0 {
					fx = s.says(p, wire.DontHave(uint8(wire.ExtDontHave), uint32(arg/2)))
					break
				}
				fx = s.says(p, wire.Extend(script[1], script))
			case 9:
				s.now = s.now.Add(time.Duration(arg) * time.Second)
				fx = s.handle()
			}
			if fx != nil && fx.Info != nil {
				if learned || !bytes.Equal(fx.Info, info) {
					t.Fatal("the info dictionary is wrong, or came twice")
				}
				learned = true
				s.Learn(s.now, info, arg%2 == 0)
			} else if learned && !resolved && arg%3 == 0 {
				resolved = true
				s.Resolve(s.now, c)
				if err := s.check(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
