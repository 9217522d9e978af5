package report

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestANamespaceHasItsPartOfThePlacesAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(maxTaking, maxFromNamespace)
		var leave []func()
		for i := range maxFromNamespace {
			if l := p.enter(t.Context(), "greedy"); l != nil {
				leave = append(leave, l)
			} else {
				t.Fatalf("place %d of %d was refused", i, maxFromNamespace)
			}
		}
		began := time.Now()
		if p.enter(t.Context(), "greedy") != nil {
			t.Error("it has a place more than its part")
		}
		if waited := time.Since(began); waited != slotTimeout {
			t.Errorf("it waited %v for one", waited)
		}
		for len(leave) < maxTaking { // Others have the rest.
			l := p.enter(t.Context(), string(rune('a'+len(leave))))
			if l == nil {
				t.Fatalf("with %d of %d places taken, another namespace gets none", len(leave), maxTaking)
			}
			leave = append(leave, l)
		}
		if p.enter(t.Context(), "late") != nil {
			t.Error("there are more places than there are")
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if p.enter(over, "late") != nil {
			t.Error("one that has gone gets a place")
		}
		got := make(chan func(), 1)
		go func() { got <- p.enter(t.Context(), "greedy") }() // It waits, and one of its own leaves.
		synctest.Wait()
		leave[0]()
		next := <-got
		if next == nil {
			t.Fatal("the place that was left is not given to the next")
		}
		next()
		for _, l := range leave[1:] {
			l()
		}
		if len(p.parts) != 0 || len(p.all) != 0 {
			t.Errorf("when all have left, %d namespaces and %d places are remembered", len(p.parts), len(p.all))
		}
	})
}

// arrived is a connection from somewhere.
type arrived struct {
	net.Conn
	from   netip.AddrPort
	closed *int
}

func (a arrived) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(a.from) }
func (a arrived) Close() error         { *a.closed++; return nil }

var errEmpty = errors.New("nobody comes any more")

func TestAnAddressHasItsPartOfTheConnectionsAndNoMore(t *testing.T) {
	closed := 0
	var waiting []netip.AddrPort
	l := newListener(acceptFunc(func() (net.Conn, error) {
		if len(waiting) == 0 {
			return nil, errEmpty
		}
		c := arrived{from: waiting[0], closed: &closed}
		waiting = waiting[1:]
		return c, nil
	}))
	come := func(from string, n int) (got []net.Conn) {
		t.Helper()
		for i := range n {
			waiting = append(waiting, netip.AddrPortFrom(netip.MustParseAddr(from), uint16(1000+i)))
		}
		for {
			c, err := l.Accept()
			if errors.Is(err, errEmpty) {
				return got
			} else if err != nil {
				t.Fatal(err)
			}
			got = append(got, c)
		}
	}
	first := come("10.0.0.1", maxFromAddress-1)
	last := come("::ffff:10.0.0.1", 1)
	if len(first)+len(last) != maxFromAddress {
		t.Fatalf("of %d connections %d were taken", maxFromAddress, len(first)+len(last))
	}
	if more := come("10.0.0.1", 3); len(more) != 0 || closed != 3 {
		t.Errorf("of 3 beyond the limit %d were taken and %d closed", len(more), closed)
	}
	if other := come("10.0.0.2", 1); len(other) != 1 {
		t.Error("another address has to suffer for it")
	}
	first[0].Close()
	first[0].Close() // Counts once.
	if again := come("10.0.0.1", 2); len(again) != 1 {
		t.Errorf("for one that was closed %d were taken", len(again))
	}
}

// acceptFunc is a listener of which only Accept is asked.
type acceptFunc func() (net.Conn, error)

func (f acceptFunc) Accept() (net.Conn, error) { return f() }
func (acceptFunc) Close() error                { return nil }
func (acceptFunc) Addr() net.Addr              { return nil }
