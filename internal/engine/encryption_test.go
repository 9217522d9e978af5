package engine

import (
	"path/filepath"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
)

// connections returns how many connections to peers a torrent has that are
// encrypted, and that are not.
func connections(t *Torrent) (secret, others int) {
	h := t.hub.Load()
	if h == nil {
		return 0, 0
	}
	h.links.mu.Lock()
	defer h.links.mu.Unlock()
	for _, l := range h.links.open {
		if l.secret {
			secret++
		} else {
			others++
		}
	}
	return secret, others
}

// All of a torrent can come over encrypted connections, where the other side
// asks for it too or leaves it to us.
func TestEncryptedDownloads(t *testing.T) {
	for _, theirs := range []download.Encryption{download.EncryptionAllow, download.EncryptionRequire} {
		t.Run("from one that says "+string(theirs), func(t *testing.T) {
			root := content{"one": 3_000_001, "two": 17}.write(t, "content")
			m := create(t, root, 64<<10, "")
			forever := download.Seeding{Policy: download.SeedForever}
			e := newTestEngine(t, Config{})
			served, err := e.Add(Spec{Metainfo: m, Dir: filepath.Dir(root), Encryption: theirs, Seeding: forever})
			if err != nil {
				t.Fatal(err)
			}
			await(t, served, "the seed to check its data", is(download.StateSeeding))
			dir := t.TempDir()
			tor, err := newTestEngine(t, Config{}).Add(Spec{
				Metainfo: m, Dir: dir, Peers: []string{e.addr()}, Encryption: download.EncryptionRequire, Seeding: forever,
			})
			if err != nil {
				t.Fatal(err)
			}
			await(t, tor, "the download", is(download.StateSeeding))
			sameTree(t, root, filepath.Join(dir, "content"))
			if secret, others := connections(tor); others > 0 {
				t.Errorf("%d connections are encrypted and %d are not", secret, others)
			}
		})
	}
}

// What is wished for encryption may change at any time. Connections that it
// does not let end, and the download goes on over others.
func TestTheWishForEncryptionMayChange(t *testing.T) {
	root := content{"data": 8 << 20}.write(t, "content")
	m := create(t, root, 64<<10, "")
	e := seed(t, root, m)
	want := Update{Peers: []string{e.addr()}, Limits: download.Limits{DownloadBytesPerSecond: 256 << 10}}
	dir := t.TempDir()
	tor, err := newTestEngine(t, Config{}).Add(Spec{Metainfo: m, Dir: dir, Peers: want.Peers, Limits: want.Limits})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "a connection in the clear", func(*download.Progress) bool { s, c := connections(tor); return s == 0 && c == 1 })
	want.Encryption = download.EncryptionRequire
	tor.Update(want)
	await(t, tor, "an encrypted connection", func(*download.Progress) bool { s, c := connections(tor); return s == 1 && c == 0 })
	want.Encryption = download.EncryptionDisable
	tor.Update(want)
	await(t, tor, "a connection in the clear again", func(*download.Progress) bool { s, c := connections(tor); return s == 0 && c == 1 })
	want.Limits = download.Limits{}
	tor.Update(want)
	await(t, tor, "the download", is(download.StateComplete))
	sameTree(t, root, filepath.Join(dir, "content"))
}

// Encrypted callers find each torrent as long as it runs, in whatever folders.
func TestEncryptedCallersFindWhatRuns(t *testing.T) {
	root := content{"data": 100}.write(t, "content")
	m := create(t, root, 64<<10, "")
	e := newTestEngine(t, Config{})
	finds := func() bool {
		hash, ok := callers{e}.Named(mse.NameOf(m.InfoHash))
		return ok && hash == m.InfoHash
	}
	if finds() || (callers{e}).Encrypts() {
		t.Error("a torrent is found that was never added")
	}
	var all []*Torrent
	for _, dir := range []string{t.TempDir(), t.TempDir()} {
		tor, err := e.Add(Spec{Metainfo: m, Dir: dir, Encryption: download.EncryptionDisable})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tor)
	}
	if !finds() || (callers{e}).Encrypts() {
		t.Error("the torrent is not found, or it encrypts")
	}
	all[1].Update(Update{})
	if !(callers{e}).Encrypts() {
		t.Error("one of two torrents encrypts, and none is said to")
	}
	await(t, all[1], "the torrent to run", is(download.StateDownloading))
	for _, tor := range all {
		if !finds() {
			t.Error("a torrent that runs is not found")
		}
		if err := tor.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if finds() || len(e.named) > 0 {
		t.Error("a torrent is found that runs no more")
	}
}

// However many torrents there are, to find the one that a caller names takes no
// longer.
func BenchmarkNamedOfTenThousand(b *testing.B) {
	e := &Engine{torrents: map[metainfo.Hash][]*Torrent{}, named: map[mse.Name]metainfo.Hash{}}
	for i := range 10_000 {
		hash := metainfo.Hash{byte(i), byte(i >> 8)}
		e.torrents[hash] = []*Torrent{{}}
		e.named[mse.NameOf(hash)] = hash
	}
	name := mse.NameOf(metainfo.Hash{1, 2})
	for b.Loop() {
		if _, ok := (callers{e}).Named(name); !ok || !(callers{e}).Encrypts() {
			b.Fatal("not found")
		}
	}
}
