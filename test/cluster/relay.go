package cluster

import (
	"io"
	"net"
	"net/netip"
	"sync"
)

// A relay takes connections to a port of this machine's loopback into a
// namespace.
type relay struct {
	listener  net.Listener
	namespace *Namespace
	to        netip.AddrPort

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
}

func newRelay(n *Namespace, to netip.AddrPort) (*relay, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // it ends by close
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, namespace: n, to: to, open: map[net.Conn]bool{}}
	r.wg.Go(r.serve)
	return r, nil
}

// address is host:port of this machine.
func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) serve() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.carry(conn) })
	}
}

// carry carries one connection until both sides have said all.
func (r *relay) carry(here net.Conn) {
	if !r.keep(here) {
		return
	}
	defer r.drop(here)
	var there net.Conn
	if err := r.namespace.Do(func() (err error) {
		there, err = net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(r.to))
		return err
	}); err != nil || !r.keep(there) {
		return // The other side sees the end of its connection.
	}
	defer r.drop(there)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // An end with an error is an end.
			_ = way[1].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
}

// keep remembers an open connection, or closes it if it comes too late.
func (r *relay) keep(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		conn.Close()
		return false
	}
	r.open[conn] = true
	return true
}

func (r *relay) drop(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn.Close()
	delete(r.open, conn)
}

// close ends the relay and all connections.
func (r *relay) close() {
	r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for conn := range r.open {
		conn.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
