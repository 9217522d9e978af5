package engine

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/internal/engine/lsd"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Nobody but the DHT tells the one of the other, and of what the torrent is.
func TestBEP5TwoEnginesFindEachOtherByTheDHTAlone(t *testing.T) {
	for name, c := range map[string]struct{ readOnly, bare bool }{
		"both answer":                {},
		"the leecher is read-only":   {readOnly: true},
		"the torrent names the node": {bare: true},
	} {
		t.Run(name, func(t *testing.T) {
			root := content{"a/data": 300_000}.write(t, "content")
			m := create(t, root, 32<<10, "")
			seeder := newTestEngine(t, Config{DHT: &DHT{}})
			tor, err := seeder.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}})
			if err != nil {
				t.Fatal(err)
			}
			await(t, tor, "the seed to check its data", is(download.StateSeeding))

			cfg, spec := DHT{Bootstrap: []string{seeder.addr()}, ReadOnly: c.readOnly}, Spec{Magnet: m.Magnet(), Dir: t.TempDir()}
			if c.readOnly { // A third one, that both can ask, has to carry what each says.
				way := newTestEngine(t, Config{DHT: &DHT{Bootstrap: []string{seeder.addr()}}})
				if _, err := way.Add(Spec{Magnet: &metainfo.Magnet{InfoHash: metainfo.Hash{1}}, ResolveOnly: true}); err != nil {
					t.Fatal(err)
				}
				cfg.Bootstrap = []string{way.addr()}
			}
			if c.bare {
				n := *m
				n.Nodes = []metainfo.Node{{Host: "127.0.0.1", Port: seeder.Port()}}
				cfg.Bootstrap, spec.Magnet, spec.Metainfo = nil, nil, &n
			}
			leecher := newTestEngine(t, Config{DHT: &cfg})
			tor, err = leecher.Add(spec)
			if err != nil {
				t.Fatal(err)
			}
			await(t, tor, "the download", is(download.StateComplete))
			sameTree(t, root, filepath.Join(spec.Dir, "content"))
		})
	}
}

// dhtNode is a node of the DHT by hand: it takes down what it is asked, and
// answers that it knows nobody.
type dhtNode struct {
	conn  *net.UDPConn
	asked chan question
}

type question struct {
	method string
	hash   metainfo.Hash
	from   netip.AddrPort
}

func newDHTNode(t *testing.T) *dhtNode {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &dhtNode{conn, make(chan question, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2000)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			var q struct {
				Method string `bencode:"q"`
				T      string `bencode:"t"`
				A      struct {
					Hash string `bencode:"info_hash"`
				} `bencode:"a"`
			}
			if err := bencode.Unmarshal(b[:size], &q, bencode.Limits{Size: 2000, Depth: 8}); err != nil || q.Method == "" {
				continue
			}
			heard := question{method: q.Method, from: from}
			copy(heard.hash[:], q.A.Hash)
			n.asked <- heard
			answer, err := bencode.Marshal(map[string]any{"t": q.T, "y": "r", "r": map[string]any{"id": "abcdefghij0123456789", "token": "x"}})
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(answer, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return n
}

func (n *dhtNode) addr() string { return n.conn.LocalAddr().String() }

// await waits for a question.
func (n *dhtNode) await(t *testing.T, what string, ok func(question) bool) (heard []question) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case q := <-n.asked:
			if heard = append(heard, q); ok(q) {
				return heard
			}
		case <-deadline:
			t.Fatalf("waiting for %s; heard %v", what, heard)
		}
	}
}

func TestBEP27TheDHTIsNotAskedForPrivateTorrentsNorWhereItIsDisabled(t *testing.T) {
	root := content{"data": 100_000}.write(t, "content")
	public := create(t, root, 32<<10, "")
	private, err := metainfo.Create(t.Context(), root, metainfo.CreateOptions{PieceLength: 32 << 10, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	disabled := create(t, root, 64<<10, "")
	node := newDHTNode(t)
	e := newTestEngine(t, Config{DHT: &DHT{Bootstrap: []string{node.addr()}}})
	var last *Torrent
	for _, s := range []Spec{{Metainfo: private}, {Metainfo: disabled, NoDHT: true}, {Metainfo: public}} {
		s.Dir = filepath.Dir(root)
		s.Seeding = download.Seeding{Policy: download.SeedForever}
		if last, err = e.Add(s); err != nil {
			t.Fatal(err)
		}
		await(t, last, "the seed to check its data", is(download.StateSeeding))
		if s.Metainfo == private && e.tellsOfDHT(private.InfoHash) || s.NoDHT && e.tellsOfDHT(disabled.InfoHash) {
			t.Error("peers are told that we take part in the DHT")
		}
	}
	heard := node.await(t, "the announce of the public torrent", func(q question) bool { return q.method == "announce_peer" })
	for _, q := range heard {
		if q.method != "find_node" && q.method != "ping" && q.hash != public.InfoHash {
			t.Errorf("asked for %v", q)
		}
	}
}

// A search begins and ends with the wish for it, while the torrent runs.
func TestTheDHTCanBeDisabledAndEnabled(t *testing.T) {
	root := content{"data": 100_000}.write(t, "content")
	m := create(t, root, 32<<10, "")
	node := newDHTNode(t)
	e := newTestEngine(t, Config{DHT: &DHT{Bootstrap: []string{node.addr()}}})
	tor, err := e.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), NoDHT: true, Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed to check its data", is(download.StateSeeding))
	if !tor.Update(Update{Seeding: download.Seeding{Policy: download.SeedForever}}) {
		t.Fatal("not taken")
	}
	node.await(t, "the announce", func(q question) bool { return q.method == "announce_peer" && q.hash == m.InfoHash })
	if !e.tellsOfDHT(m.InfoHash) {
		t.Error("peers are not told")
	}
}

func TestTheGuardHoldsForNodesOfTheDHT(t *testing.T) {
	denied, allowed := newDHTNode(t), newDHTNode(t)
	guard := &transport.Guard{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	port := denied.conn.LocalAddr().(*net.UDPAddr).Port
	denied.conn.Close()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e := newTestEngine(t, Config{Guard: guard, DHT: &DHT{Bootstrap: []string{conn.LocalAddr().String(), allowed.addr()}}})
	if _, err := e.Add(Spec{Magnet: &metainfo.Magnet{InfoHash: metainfo.Hash{1}}, ResolveOnly: true}); err != nil {
		t.Fatal(err)
	}
	allowed.await(t, "the announce", func(q question) bool { return q.method == "announce_peer" })
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil { // What has come is there already.
		t.Fatal(err)
	}
	if n, _, err := conn.ReadFromUDPAddrPort(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes were sent to an address that is denied", n)
	}
}

// BEP 5, "BitTorrent Protocol Extension": both announce it in the handshake, we
// say at which port our node is, and the peer's node is asked.
func TestBEP5NodesOfPeersAreAsked(t *testing.T) {
	root := content{"data": 100_000}.write(t, "content")
	m := create(t, root, 32<<10, "")
	node := newDHTNode(t)
	e := newTestEngine(t, Config{DHT: &DHT{}})
	tor, err := e.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed to check its data", is(download.StateSeeding))
	conn, err := net.Dial("tcp", e.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h := wire.Handshake{InfoHash: m.InfoHash, PeerID: [20]byte{1}}
	h.SetDHT()
	b := wire.Append(h.Append(nil), wire.Message{ID: wire.Port, Index: uint32(node.conn.LocalAddr().(*net.UDPAddr).Port)})
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	heard := node.await(t, "a ping", func(q question) bool { return q.method == "ping" })
	if at := heard[0].from; int(at.Port()) != e.Port() {
		t.Errorf("asked from %v, and peers are at port %d", at, e.Port())
	}
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	want := wire.Append(nil, wire.Message{ID: wire.Port, Index: uint32(e.Port())})
	var got []byte
	for !slices.Equal(got[max(0, len(got)-len(want)):], want) {
		one := make([]byte, 1)
		if _, err := conn.Read(one); err != nil {
			t.Fatalf("our port was not told: %v after %q", err, got)
		}
		got = append(got, one[0])
	}
	if answer, err := wire.ParseHandshake(got[:wire.HandshakeLen]); err != nil || !answer.DHT() {
		t.Errorf("the handshake %+v, %v", answer, err)
	}
}

// onLoopback has an engine speak of its torrents where only this machine hears.
func onLoopback(t *testing.T) *Engine {
	t.Helper()
	e := newTestEngine(t, Config{})
	e.local.interfaces = loopbacks
	return e
}

func loopbacks() ([]net.Interface, error) {
	all, err := net.Interfaces()
	return slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback == 0 }), err
}

// Nobody but the local network tells the one of the other, and of what the
// torrent is.
func TestBEP14TwoEnginesFindEachOtherInTheLocalNetwork(t *testing.T) {
	root := content{"data": 300_000}.write(t, "content")
	m := create(t, root, 32<<10, "")
	seeder, leecher := onLoopback(t), onLoopback(t)
	tor, err := seeder.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Local: true, Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the seed to check its data", is(download.StateSeeding))
	dir := t.TempDir()
	tor, err = leecher.Add(Spec{Magnet: m.Magnet(), Dir: dir, Local: true})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
	sameTree(t, root, filepath.Join(dir, "content"))
}

// Local networks are told of a torrent if that is wanted, also later, and never
// of a private one.
func TestLocalNetworksAreToldOfWhatIsWanted(t *testing.T) {
	root := content{"data": 100_000}.write(t, "content")
	e := onLoopback(t)
	private, err := metainfo.Create(t.Context(), root, metainfo.CreateOptions{PieceLength: 32 << 10, Private: true})
	if err != nil {
		t.Fatal(err)
	}
	var last *Torrent
	for _, s := range []Spec{{Metainfo: private, Local: true}, {Metainfo: create(t, root, 32<<10, "")}} {
		s.Dir, s.Seeding = filepath.Dir(root), download.Seeding{Policy: download.SeedForever}
		if last, err = e.Add(s); err != nil {
			t.Fatal(err)
		}
		await(t, last, "the seed to check its data", is(download.StateSeeding))
	}
	e.local.mu.Lock()
	if e.local.server != nil {
		t.Error("somebody is told of a torrent that is private, or that nobody wants told of")
	}
	e.local.mu.Unlock()
	other, err := lsd.Start(lsd.Config{Port: 1, Addrs: loopback, Interfaces: loopbacks})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	found := make(chan netip.AddrPort, 10)
	other.Tell(last.hash, func(a netip.AddrPort) { found <- a })
	if !last.Update(Update{Local: true, Seeding: download.Seeding{Policy: download.SeedForever}}) {
		t.Fatal("not taken")
	}
	if a := <-found; a.String() != e.addr() {
		t.Errorf("found %s, and the engine is at %s", a, e.addr())
	}
}
