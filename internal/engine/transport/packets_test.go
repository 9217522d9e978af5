package transport

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

type datagram struct {
	text string
	from netip.AddrPort
}

// served collects the packets that a transport is sent.
func served(t *testing.T, tr *Transport) <-chan datagram {
	t.Helper()
	got := make(chan datagram, 100)
	tr.Packets().Serve(func(b []byte, from netip.AddrPort) { got <- datagram{string(b), from} })
	return got
}

func TestPacketsGoBothWaysAtThePortOfPeers(t *testing.T) {
	one, _ := open(t, func(c *Config) { c.Packets = true })
	two, _ := open(t, func(c *Config) { c.Packets = true })
	got := [2]<-chan datagram{served(t, one), served(t, two)}
	for i, pair := range [][2]*Transport{{one, two}, {two, one}} {
		if err := pair[0].Packets().Send([]byte("hi"), loopback(pair[1].Port())); err != nil {
			t.Fatal(err)
		}
		if d := <-got[1-i]; d.text != "hi" || d.from != loopback(pair[0].Port()) {
			t.Errorf("%q came from %v", d.text, d.from)
		}
	}
	if four, _ := one.Packets().Families(); !four {
		t.Error("there is no IPv4")
	}
}

func TestAPortThatIsTakenForPacketsIsPassedOver(t *testing.T) {
	first, _ := open(t, func(c *Config) { c.Packets = true })
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	if _, err := Listen(Config{PortFirst: port, PortLast: port, Packets: true}); !errors.Is(err, ErrPort) {
		t.Errorf("on a port that is taken: %v", err)
	}
	if first.Port() == port {
		t.Error("both have one port")
	}
}

func TestTheGuardHoldsForPackets(t *testing.T) {
	other := netip.MustParseAddr("127.0.0.2")
	tr, _ := open(t, func(c *Config) {
		c.Packets, c.Guard = true, &Guard{Deny: []netip.Prefix{netip.PrefixFrom(other, 32)}}
	})
	got := served(t, tr)
	var denied *DeniedError
	if err := tr.Packets().Send([]byte("hi"), netip.AddrPortFrom(other, 9)); !errors.As(err, &denied) {
		t.Errorf("sent to a denied address: %v", err)
	}
	for _, from := range []string{"127.0.0.2:0", "127.0.0.1:0"} {
		conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.UDPAddrFromAddrPort(loopback(tr.Port())))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte(from)); err != nil {
			t.Fatal(err)
		}
	}
	if d := <-got; d.text != "127.0.0.1:0" {
		t.Errorf("a packet was taken from %v", d.from)
	}
}
