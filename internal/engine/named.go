package engine

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// lookupFirst and lookupLast bound the time after which a name that could not
// be resolved is looked up again; it doubles each time.
const lookupFirst, lookupLast = time.Second, 5 * time.Minute

// findPeers looks up the peers that a person named, and those of the magnet
// link, each once, until it is found or not named any more.
func (h *hub) findPeers(hostPorts []string) {
	if m := h.t.spec.Magnet; m != nil {
		hostPorts = slices.Concat(hostPorts, m.Peers)
	}
	for hostPort, cancel := range h.named {
		if !slices.Contains(hostPorts, hostPort) {
			cancel()
			delete(h.named, hostPort)
		}
	}
	for _, hostPort := range hostPorts {
		if h.named[hostPort] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(h.ctx)
		h.named[hostPort] = cancel
		h.work.Go(func() { h.findPeer(ctx, hostPort) })
	}
}

// forgetNamed ends the search for all named peers, and forgets who was found:
// findPeers begins anew.
func (h *hub) forgetNamed() {
	for _, cancel := range h.named {
		cancel()
	}
	clear(h.named)
}

// findPeer hands the addresses of a name to the swarm. A name that is not known
// may be one soon: that of a service that is about to start.
func (h *hub) findPeer(ctx context.Context, hostPort string) {
	host, portText, err := net.SplitHostPort(hostPort)
	port, perr := strconv.ParseUint(portText, 10, 16)
	if err != nil || perr != nil {
		h.log.Warn("not the address of a peer, which is host:port", "peer", hostPort)
		return
	}
	for wait := lookupFirst; ; wait = min(2*wait, lookupLast) {
		ips, err := h.t.engine.lookup(ctx, "ip", host)
		if err == nil {
			addrs := make([]netip.AddrPort, 0, len(ips))
			for _, ip := range ips {
				addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
			}
			h.inbox.post(swarm.Event{Kind: swarm.Found, Addrs: addrs, Source: swarm.FromUser})
			return
		}
		if ctx.Err() == nil {
			h.log.Warn("can't resolve a peer's address", "peer", hostPort, "again", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
