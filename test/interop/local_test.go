//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// host is a machine in a local network of its own with one other.
type host struct {
	*cluster.Namespace
	addr string
}

// newLocalNetwork returns two hosts that hear each other.
func newLocalNetwork(t *testing.T) (hosts [2]host) {
	t.Helper()
	for i := range hosts {
		space, err := cluster.NewNamespace()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { space.Close() })
		hosts[i] = host{space, fmt.Sprintf("10.77.0.%d", 1+i)}
	}
	hosts[0].do(t, func() {
		run(t, "ip", "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", hosts[1].Path())
	})
	for _, h := range hosts {
		h.do(t, func() {
			run(t, "ip", "link", "set", "lo", "up")
			run(t, "ip", "address", "add", h.addr+"/24", "dev", "lan")
			run(t, "ip", "link", "set", "lan", "up")
			run(t, "ip", "route", "add", "224.0.0.0/4", "dev", "lan")
		})
	}
	return hosts
}

// do runs f, and the programs that it starts, on the host.
func (h host) do(t *testing.T, f func()) {
	t.Helper()
	if err := h.Do(func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// client reaches HTTP servers on the host's own loopback.
func (h host) client() http.Client {
	return http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, kind, addr string) (conn net.Conn, err error) {
		outside := h.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, kind, addr)
			return nil
		})
		return conn, errors.Join(outside, err)
	}}}
}

// Nothing tells of the other but what both tell their network.
func TestLocalDiscoveryInBothDirections(t *testing.T) {
	needClients(t)
	const feature = "local discovery"
	for _, with := range []func(host) client{
		func(h host) client {
			return aria2With("--interface="+h.addr, "--bt-enable-lpd=true", "--bt-lpd-interface="+h.addr)
		},
		func(h host) client { return libtorrentWith("local=" + h.addr) },
		func(h host) client {
			return transmissionWith(daemon{encryption: tolerated, client: h.client(), settings: map[string]any{
				"lpd-enabled": true, "bind-address-ipv4": h.addr,
			}})
		},
	} {
		for us := range 2 {
			hosts := newLocalNetwork(t)
			pair := [2]client{with(hosts[0]), with(hosts[1])}
			pair[us] = torrentOperatorWith("--local")
			from, to := pair[0], pair[1]
			t.Run(fmt.Sprintf("from %s to %s", from.name, to.name), func(t *testing.T) {
				t.Parallel()
				record(t, feature, from.name, to.name)
				l, dir := newLonely(t), t.TempDir()
				ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
				defer cancel()
				var down transfer
				hosts[0].do(t, func() { from.seed(ctx, t, l.torrent, l.from) })
				hosts[1].do(t, func() { down = to.leech(ctx, t, l.torrent, dir) })
				l.arrives(t, down, dir)
			})
		}
	}
}
