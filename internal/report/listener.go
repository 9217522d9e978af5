package report

import (
	"net"
	"net/netip"
	"sync"
)

// listener closes at once what an address opens beyond its part of the
// connections.
type listener struct {
	net.Listener

	mu   sync.Mutex
	open map[netip.Addr]int
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, open: map[netip.Addr]int{}}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(c.RemoteAddr().String())
		if l.add(from) {
			return &connection{Conn: c, gone: sync.OnceFunc(func() { l.remove(from) })}, nil
		}
		c.Close()
	}
}

func (l *listener) add(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= maxFromAddress {
		return false
	}
	l.open[from]++
	return true
}

func (l *listener) remove(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// connection is counted until it is closed.
type connection struct {
	net.Conn
	gone func()
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.gone()
	return c.Conn.Close()
}

// addressOf is the address of host:port without a zone. All that have none count
// as one.
func addressOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	return at.Addr().Unmap().WithZone("")
}
