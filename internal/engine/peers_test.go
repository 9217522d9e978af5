package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// awaitPeer waits until a torrent has a peer that is as it should be.
func awaitPeer(t *testing.T, tor *Torrent, what string, ok func(PeerInfo) bool) {
	t.Helper()
	await(t, tor, what, func(*download.Progress) bool {
		for _, p := range tor.Peers() {
			if ok(p) {
				return true
			}
		}
		return false
	})
}

func TestPeersSayWhoTheyAreAndWhoToldOfThem(t *testing.T) {
	root := content{"a": 3 << 20}.write(t, "set")
	m := create(t, root, 1<<18, "")
	s := seed(t, root, m)
	leech := newTestEngine(t, Config{DownloadBytesPerSecond: 1 << 20})
	tor, err := leech.Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{s.addr()}})
	if err != nil {
		t.Fatal(err)
	}
	awaitPeer(t, tor, "connected to the seed", func(p PeerInfo) bool {
		return p.Client == clientVersion && p.Source == "user" && !p.Incoming && p.Seed && p.UploadOnly
	})
	awaitPeer(t, s.torrents[m.InfoHash][0], "called by the leecher", func(p PeerInfo) bool {
		return p.Client == clientVersion && p.Source == "incoming" && p.Incoming && !p.Seed && !p.UploadOnly
	})
	await(t, tor, "complete", is(download.StateComplete))
}

// A filter holds for peers that a person named too, and may be changed.
func TestThePeerFilterIsChangedWhileATorrentRuns(t *testing.T) {
	root := content{"a": 1 << 20}.write(t, "set")
	m := create(t, root, 1<<18, "")
	s := seed(t, root, m)
	for name, spec := range map[string]Spec{
		"by the user":      {Metainfo: m, Peers: []string{s.addr()}},
		"in a magnet link": {Magnet: magnetOf(m, s)},
		"in a magnet link whose torrent is known": {Metainfo: m, Magnet: magnetOf(m, s)},
	} {
		t.Run(name, func(t *testing.T) {
			spec.Dir, spec.StallTimeout = t.TempDir(), 50*time.Millisecond
			spec.Filter = download.PeerFilter{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
			tor, err := newTestEngine(t, Config{}).Add(spec)
			if err != nil {
				t.Fatal(err)
			}
			p := await(t, tor, "stalled for the filter", func(p *download.Progress) bool {
				return p.Err != nil && p.Err.Reason == download.ReasonNoPeers
			})
			if p.Peers.Known != 0 || p.BytesDownloaded != 0 {
				t.Errorf("%+v", p)
			}
			tor.Update(Update{Peers: spec.Peers, StallTimeout: spec.StallTimeout, Filter: download.PeerFilter{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
			await(t, tor, "complete", is(download.StateComplete))
		})
	}
}

// BEP 11: who knows one peer gets to know another from it, and each is told
// as what it is.
func TestPeersAreExchanged(t *testing.T) {
	root := content{"a": 1 << 20}.write(t, "set")
	m := create(t, root, 1<<18, "")
	s := seed(t, root, m)
	slow := func(peer string) (*Engine, *Torrent) {
		e := newTestEngine(t, Config{DownloadBytesPerSecond: 40 << 10})
		tor, err := e.Add(Spec{Metainfo: m, Dir: t.TempDir(), Peers: []string{peer}})
		if err != nil {
			t.Fatal(err)
		}
		return e, tor
	}
	a, _ := slow(s.addr())
	_, b := slow(s.addr())
	awaitPeer(t, b, "connected to the other leecher", func(p PeerInfo) bool {
		return p.Source == "pex" && p.Addr.Port() == uint16(a.Port()) || p.Source == "incoming"
	})
}
