package inproc

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// byLink asks for the torrent of a name by its magnet link.
func (w *world) byLink(name string) download.Request {
	w.Helper()
	r := w.request(name)
	r.Source = download.Source{Magnet: w.torrent(name).meta.Magnet().String()}
	return r
}

// The metadata of a magnet link is fetched once: for the resolving, for the
// download that follows, and for every start after that, which needs no peer.
func TestMagnetLinkIsResolvedOnceAndKept(t *testing.T) {
	w := newWorld(t)
	r := w.byLink("a")
	r.ResolveOnly = true
	w.ensure("a", r)
	p := w.await("a", "resolved", func(p download.Progress) bool { return p.State == download.StateWaiting })
	if p.InfoHash != w.torrent("a").meta.InfoHash.String() || p.Name != "of-a" || p.Err != nil {
		t.Errorf("resolved to %+v", p)
	}
	if there, _ := w.data("a", r); there {
		t.Error("the volume was touched")
	}
	r.ResolveOnly = false
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	if _, intact := w.data("a", r); !intact {
		t.Error("the data is not there")
	}
	if err := w.Stop(t.Context(), id("a"), r, download.Keep); err != nil {
		t.Fatal(err)
	}
	r.Peers = nil
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	if err := w.Stop(t.Context(), id("a"), r, download.Keep); err != nil {
		t.Fatal(err)
	}
	// Nothing runs, so what is to be erased is told by what was kept.
	if err := w.Stop(t.Context(), id("a"), r, download.Erase); err != nil {
		t.Fatal(err)
	}
	if left := filesBelow(t, w.volume); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestMagnetLinkWithoutAPeerSaysSoAndCanBeStopped(t *testing.T) {
	w := newWorld(t)
	r := w.byLink("a")
	r.Peers, r.StallTimeout = nil, 50*time.Millisecond
	for _, only := range []bool{true, false} {
		r.ResolveOnly = only
		w.ensure("a", r)
		p := w.await("a", "in trouble", func(p download.Progress) bool { return p.Err != nil })
		if p.State != download.StateResolving || p.Err.Reason != download.ReasonNoPeers || p.Err.Permanent {
			t.Errorf("%+v: %+v", p, p.Err)
		}
	}
	r.Peers = w.request("a").Peers
	w.ensure("a", r)
	w.awaitState("a", download.StateComplete)
	r = w.byLink("b")
	r.Peers = nil
	w.ensure("b", r)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Stop(ctx, id("b"), r, download.Erase); err != nil {
		t.Fatal(err)
	}
}

func TestMagnetLinksThatCantBeDownloadedSayWhy(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		link, pin, reason, says string
	}{
		{"http://example.org/", "", download.ReasonMetainfoInvalid, "magnet:?"},
		{"magnet:?xt=urn:btmh:1220", "", download.ReasonUnsupportedTorrent, "version 2"},
		{w.torrent("a").meta.Magnet().String(), "0123456789012345678901234567890123456789", download.ReasonInfoHashMismatch, "0123456789012345678901234567890123456789"},
	} {
		r := w.request("a")
		r.Source, r.InfoHash = download.Source{Magnet: c.link}, c.pin
		w.fails("a", r, c.reason, true, c.says)
	}
}

// What holds for a download holds while its link is resolved, too.
func TestMagnetLinkIsNotResolvedByPeersThatTheFilterDenies(t *testing.T) {
	w := newWorld(t)
	r := w.byLink("a")
	r.ResolveOnly, r.StallTimeout = true, 50*time.Millisecond
	r.PeerFilter.Deny = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	w.ensure("a", r)
	p := w.await("a", "resolved or in trouble", func(p download.Progress) bool { return p.InfoHash != "" || p.Err != nil })
	if p.State != download.StateResolving || p.Err == nil || p.Err.Reason != download.ReasonNoPeers || p.Peers.Known > 0 {
		t.Errorf("%+v: %+v", p, p.Err)
	}
	r.PeerFilter.Deny = nil
	w.ensure("a", r)
	w.await("a", "resolved", func(p download.Progress) bool { return p.State == download.StateWaiting })
}

func TestPeersAreLookedForOnlyWhereTheyMayBe(t *testing.T) {
	for _, only := range []bool{false, true} {
		for _, no := range []bool{false, true} {
			if got := spec(download.Request{ResolveOnly: only, NoPEX: no, NoDHT: !no, Local: no}, content{}); got.NoPEX != no || got.NoDHT == no || got.Local != no || got.ResolveOnly != only {
				t.Errorf("resolve only %t, no exchange %t: %+v", only, no, got)
			}
		}
	}
}
