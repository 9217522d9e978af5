package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// manyPieces makes an info dictionary of several metadata pieces: 20 bytes for
// each piece of the content.
const manyPieces = 16 << 10

func magnetOf(m *metainfo.Metainfo, peers ...*Engine) *metainfo.Magnet {
	link := m.Magnet()
	for _, e := range peers {
		link.Peers = append(link.Peers, e.addr())
	}
	return link
}

func TestMagnetLinkDownloadsWhatItNames(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		link func(m *metainfo.Metainfo, seeds ...*Engine) *metainfo.Magnet
		spec Spec
	}{
		{"a tracker in the link, several pieces of metadata", 40 << 20, func(m *metainfo.Metainfo, _ ...*Engine) *metainfo.Magnet { return m.Magnet() }, Spec{}},
		{"peers in the link", 100_000, magnetOf, Spec{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := content{"a/data": c.size, "empty": 0}.write(t, "content")
			m := create(t, root, manyPieces, newTestTracker(t))
			one, two := seed(t, root, m), seed(t, content{"a/data": c.size, "empty": 0}.write(t, "content"), m)
			dir := t.TempDir()
			s := c.spec
			s.Magnet, s.Dir, s.Path = c.link(m, one, two), dir, "below"
			tor, err := newTestEngine(t, Config{}).Add(s)
			if err != nil {
				t.Fatal(err)
			}
			if p := tor.Progress(); p.State != download.StateResolving || p.InfoHash != "" || tor.Metainfo() != nil {
				t.Errorf("it begins with %+v", p)
			}
			p := await(t, tor, "the download", is(download.StateComplete))
			sameTree(t, root, filepath.Join(dir, "below/content"))
			if p.InfoHash != m.InfoHash.String() || p.Name != "content" || p.BytesVerified != m.Info.PayloadLength() {
				t.Errorf("complete with %+v", p)
			}
		})
	}
}

func TestMagnetLinkIsOnlyResolvedWithoutAFolder(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	from := seed(t, root, m)
	tor, err := newTestEngine(t, Config{}).Add(Spec{Magnet: m.Magnet(), ResolveOnly: true, Peers: []string{from.addr()}})
	if err != nil {
		t.Fatal(err)
	}
	<-tor.Done()
	if got := tor.Metainfo(); got == nil || got.InfoHash != m.InfoHash || got.Info.Length != m.Info.Length {
		t.Errorf("resolved %+v, %v", got, tor.Progress().Err)
	}
	if p := tor.Progress(); p.Name != "content" || p.State != download.StateResolving || p.BytesTotal != 1<<20 {
		t.Errorf("ended with %+v", p)
	}
}

// The info dictionary is kept beside the journal, so that the next start needs
// no peer.
func TestMagnetLinkWhoseMetadataIsKeptStartsWithoutPeers(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	dir := t.TempDir()
	spec := Spec{Magnet: m.Magnet(), Dir: dir}
	from := seed(t, root, m)
	spec.Peers = []string{from.addr()}
	tor, err := newTestEngine(t, Config{}).Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the download", is(download.StateComplete))
	spec.Peers = nil
	tor, err = newTestEngine(t, Config{}).Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "the same download again", is(download.StateComplete))
	if err := EraseMagnet(dir, "", m.InfoHash); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := EraseMagnet(dir, "", m.InfoHash); err != nil {
		t.Errorf("what is gone already: %v", err)
	}
}

func TestMagnetLinkWithoutPeersSaysSoAndGoesOn(t *testing.T) {
	root := content{"data": 100_000}.write(t, "content")
	m := create(t, root, manyPieces, "")
	tor, err := newTestEngine(t, Config{}).Add(Spec{Magnet: m.Magnet(), Dir: t.TempDir(), StallTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p := await(t, tor, "a reason", func(p *download.Progress) bool { return p.Err != nil })
	if p.State != download.StateResolving || p.Err.Reason != download.ReasonNoPeers || p.Err.Permanent {
		t.Errorf("%+v: %v", p, p.Err)
	}
	from := seed(t, root, m)
	tor.Update(Update{Peers: []string{from.addr()}})
	await(t, tor, "the download", is(download.StateComplete))
}

func TestMagnetLinkCanBeStoppedWhileItIsResolved(t *testing.T) {
	m := create(t, content{"data": 1}.write(t, "content"), manyPieces, "")
	e, dir := newTestEngine(t, Config{}), t.TempDir()
	spec := Spec{Magnet: m.Magnet(), Dir: dir}
	tor, err := e.Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Add(spec); !errors.Is(err, ErrDuplicate) {
		t.Errorf("the same again: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tor.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Who is still resolving passes on what it learns, and takes callers.
func TestMagnetLinksResolveFromEachOther(t *testing.T) {
	root := content{"data": 3 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	first := newTestEngine(t, Config{})
	a, err := first.Add(Spec{Magnet: m.Magnet(), Dir: t.TempDir(), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	second := newTestEngine(t, Config{})
	b, err := second.Add(Spec{Magnet: magnetOf(m, first), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	await(t, a, "a caller", func(p *download.Progress) bool { return p.Peers.Connected == 1 })
	from := seed(t, root, m)
	a.Update(Update{Peers: []string{from.addr()}, Seeding: download.Seeding{Policy: download.SeedForever}})
	await(t, b, "the download", is(download.StateComplete))
}

// metadataLiar is a peer that knows nothing, and answers whoever asks it what the
// torrent is with bytes of its own, or not at all if it is silent. It returns
// its address and how often it was asked.
func metadataLiar(t *testing.T, m *metainfo.Metainfo, ip string, silent bool) (addr string, asked *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			work.Go(func() { lie(conn, m, silent, asked) })
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String(), asked
}

// lie speaks on one connection until it ends.
func lie(conn net.Conn, m *metainfo.Metainfo, silent bool, times *atomic.Int32) {
	var hello [wire.HandshakeLen]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return
	}
	h := wire.Handshake{InfoHash: m.InfoHash}
	copy(h.PeerID[:], "-LI0000-"+conn.LocalAddr().String()[len("127.0.0.1:"):])
	h.SetExtended()
	x := wire.ExtendedHandshake{MetadataSize: int64(len(m.InfoBytes))}
	x.SetExtensions(wire.ExtMetadata)
	_, _ = conn.Write(wire.Append(h.Append(nil), wire.Extend(0, x.Append(nil))))
	for {
		var head [wire.LengthLen]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		if len(body) < 2 || wire.ID(body[0]) != wire.Extended || body[1] != byte(wire.ExtMetadata) {
			continue
		}
		asked, err := wire.ParseMetadata(body[2:])
		if err != nil || asked.Kind != wire.MetadataRequest {
			continue
		}
		from := asked.Piece * wire.MetadataPiece
		said := wire.Metadata{
			Kind: wire.MetadataData, Piece: asked.Piece, TotalSize: int64(len(m.InfoBytes)),
			Data: bytes.Repeat([]byte{7}, min(wire.MetadataPiece, len(m.InfoBytes)-from)),
		}
		times.Add(1)
		if silent {
			continue
		}
		_, _ = conn.Write(wire.Append(nil, said.Message(uint8(wire.ExtMetadata))))
	}
}

func TestMagnetLinkIsResolvedAmongLiars(t *testing.T) {
	root := content{"data": 40 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	link := magnetOf(m)
	var all []*atomic.Int32
	// Each has an address of its own: it is banned with all that is there.
	for _, ip := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		addr, answered := metadataLiar(t, m, ip, false)
		link.Peers, all = append(link.Peers, addr), append(all, answered)
	}
	tor, err := newTestEngine(t, Config{}).Add(Spec{Magnet: link, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	lied := func(*download.Progress) bool {
		return !slices.ContainsFunc(all, func(n *atomic.Int32) bool { return n.Load() == 0 })
	}
	await(t, tor, "all to lie", lied)
	from := seed(t, root, m)
	tor.Update(Update{Peers: []string{from.addr()}})
	await(t, tor, "the download", is(download.StateComplete))
}

func TestMagnetLinkSelectsFilesByTheirNumbers(t *testing.T) {
	root := content{"a": 100_000, "b": 200_000, "c": 300_000}.write(t, "content")
	m := create(t, root, manyPieces, "")
	link := magnetOf(m, seed(t, root, m))
	link.Select = []metainfo.IndexRange{{First: 1, Last: 1}}
	dir := t.TempDir()
	tor, err := newTestEngine(t, Config{}).Add(Spec{Magnet: link, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p := await(t, tor, "the download", is(download.StateComplete))
	if p.BytesTotal != 200_000 || p.BytesVerified != 200_000 {
		t.Errorf("complete with %+v", p)
	}
	for file, want := range map[string]bool{"a": false, "b": true, "c": false} {
		if _, err := os.Stat(filepath.Join(dir, "content", file)); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// BEP 27: the private flag of a torrent is learned from its info dictionary.
// Who was told of the torrent before is told that it has left, and no more.
func TestAMagnetLinkOfAPrivateTorrentLeavesTheTrackersThatWereAdded(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	own, added := newLedger(t), newLedger(t)
	m, err := metainfo.Create(t.Context(), root, metainfo.CreateOptions{
		PieceLength: manyPieces, Private: true, Announce: [][]string{{own.url}},
	})
	if err != nil {
		t.Fatal(err)
	}
	public := *m // Of which the seed tells no tracker.
	public.Announce, public.AnnounceList = "", nil
	from := seed(t, root, &public)
	want := Update{Trackers: []string{added.url}, Seeding: download.Seeding{Policy: download.SeedForever}}
	tor, err := newTestEngine(t, Config{}).Add(Spec{Magnet: m.Magnet(), Dir: t.TempDir(), Trackers: want.Trackers, Seeding: want.Seeding})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "both trackers to have answered", func(p *download.Progress) bool {
		return len(p.Trackers) == 2 && !p.Trackers[0].NextAnnounce.IsZero() && !p.Trackers[1].NextAnnounce.IsZero()
	})
	want.Peers = []string{from.addr()}
	tor.Update(want)
	const all, unknown = 1 << 20, unknownLeft
	told := []string{
		fmt.Sprintf("started left=%d downloaded=0", unknown), fmt.Sprintf("stopped left=%d downloaded=0", all),
		fmt.Sprintf("started left=%d downloaded=0", all), fmt.Sprintf("completed left=0 downloaded=%d", all),
	}
	own.await(t, told...)
	heard(t, tor)
	want.Trackers = append(want.Trackers, added.url+"2")
	tor.Update(want)
	heard(t, tor)
	stop(t, tor)
	own.await(t, append(told, fmt.Sprintf("stopped left=0 downloaded=%d", all))...)
	if got := added.events(); !slices.Equal(got, told[:2]) {
		t.Errorf("the tracker that was added was told %q, want %q", got, told[:2])
	}
}

// The length of a bitfield is judged before its bytes are taken.
func TestWhoCallsAfterTheResolvingIsHeldToTheNumberOfPieces(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	e := newTestEngine(t, Config{})
	tor, err := e.Add(Spec{Magnet: magnetOf(m, seed(t, root, m)), Dir: t.TempDir(), Seeding: download.Seeding{Policy: download.SeedForever}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "seeding", is(download.StateSeeding))
	conn, err := net.Dial("tcp", e.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h := wire.Handshake{InfoHash: m.InfoHash}
	copy(h.PeerID[:], "-LO0000-")
	tooLong := uint32(m.Info.PieceCount()+7)/8 + 1
	head := append(binary.BigEndian.AppendUint32(h.Append(nil), 1+tooLong), byte(wire.Bitfield)) // The body never comes.
	if _, err := conn.Write(head); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is waited for the bytes of a bitfield that is too long")
	}
}

// Checking what is in a folder may take minutes: meanwhile nobody is sent away,
// and who asks what the torrent is gets it.
func TestCallersAreServedWhileTheFolderOfAMagnetLinkIsChecked(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	e := newTestEngine(t, Config{})
	tor := newTorrent(e, Spec{Magnet: magnetOf(m, seed(t, root, m)), Dir: t.TempDir()})
	e.torrents[tor.hash] = append(e.torrents[tor.hash], tor)
	defer e.forget(tor)
	from, err := tor.resolve()
	if err != nil {
		t.Fatal(err)
	}
	defer from.end()
	defer tor.cancel()
	checked, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		from.during(func() { <-checked })
	}()
	for range 2 {
		caller, err := newTestEngine(t, Config{}).Add(Spec{Magnet: magnetOf(m, e), ResolveOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		await(t, caller, "to be told what the torrent is", func(*download.Progress) bool { return caller.Metainfo() != nil })
	}
	await(t, tor, "the peer that told it to be kept", func(p *download.Progress) bool { return p.Peers.Connected > 0 })
	want, _ := tor.wishes()
	want.Files.Exclude = []string{"nothing"}
	tor.Update(want)
	close(checked)
	<-over
	if len(tor.wake) == 0 {
		t.Error("the session does not hear of what was wished while the folder was checked")
	}
}

// Who can't get room for a copy of what nobody can check yet waits, and gets it
// from another torrent that stops.
func TestMagnetLinksShareTheMemoryForMetadata(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	m := create(t, root, manyPieces, "")
	other := create(t, content{"data": 1<<20 + 1}.write(t, "content"), manyPieces, "")
	silent, asked := metadataLiar(t, other, "127.0.0.1", true)
	e := newTestEngine(t, Config{})
	size := int64(len(other.InfoBytes))
	e.metadata = newBudget(size+1, largeMetadata)
	third := e.metadata.room() // It has a little, so it is told of who waits and has nothing.
	third.Take(1)
	first, err := e.Add(Spec{Magnet: other.Magnet(), ResolveOnly: true, Peers: []string{silent}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, first, "the first to ask", func(*download.Progress) bool { return asked.Load() > 0 })
	second, err := e.Add(Spec{Magnet: magnetOf(m, seed(t, root, m)), ResolveOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	await(t, second, "a place in the queue", func(*download.Progress) bool { return third.Wanted(metadata.Small) })
	if second.Metainfo() != nil {
		t.Error("two copies were made in the room of one")
	}
	stop(t, first)
	<-second.Done()
	if second.Metainfo() == nil {
		t.Errorf("it never got room: %+v", second.Progress().Err)
	}
}
