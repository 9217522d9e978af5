//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// loose is what is exchanged over uTP.
var loose = sample{"loose", content{"loose.img", map[string]int{"": 16<<20 + 11}}, 128 << 10, madeByUs, false}

// TestUTP exchanges with a client that speaks nothing but uTP (BEP 29), in the
// clear and encrypted. The one that leeches calls the other.
func TestUTP(t *testing.T) {
	needClients(t)
	for feature, options := range map[string][]string{
		"uTP alone":                      {"utp"},
		"uTP alone: encryption required": {"utp", "encrypt"},
	} {
		t.Run(feature+" from torrent-operator to libtorrent", func(t *testing.T) {
			t.Parallel()
			record(t, feature, "torrent-operator", "libtorrent")
			exchange(t, loose, torrentOperator, libtorrentWith(options...))
		})
		t.Run(feature+" from libtorrent to torrent-operator", func(t *testing.T) {
			t.Parallel()
			record(t, feature, "libtorrent", "torrent-operator")
			port := freeport.For(t)
			seeder := client{name: "libtorrent", seed: func(_ context.Context, t *testing.T, torrent, dir string) *process {
				argv := []string{python, libtorrent, "seed", torrent, dir, strconv.Itoa(port)}
				return start(t, "libtorrent", program(append(argv, options...)...))
			}}
			exchange(t, loose, seeder, torrentOperatorWith("--peer", relay(t, port)))
		})
	}
	for _, pair := range [][2]string{{"transmission", "torrent-operator"}, {"torrent-operator", "transmission"}} {
		cannot(t, "uTP alone", pair[0], pair[1], "it always speaks TCP too")
	}
}

// relay returns an address at which there is no TCP, and from which packets
// go to a port of loopback and back. Libtorrent itself takes calls over TCP in
// any case, and hangs up.
func relay(t *testing.T, port int) (addr string) {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: freeport.For(t)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	done, caller := make(chan struct{}, 2), make(chan *net.UDPAddr, 1)
	go func() {
		defer func() { done <- struct{}{} }()
		b, known := make([]byte, 64<<10), false
		for {
			n, from, err := front.ReadFromUDP(b)
			if err != nil {
				return
			}
			if !known {
				known = true
				caller <- from
			}
			_, _ = back.Write(b[:n]) // What is lost is sent again.
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		b := make([]byte, 64<<10)
		var to *net.UDPAddr
		for {
			n, err := back.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // Nobody listens there yet.
			}
			if to == nil {
				to = <-caller
			}
			_, _ = front.WriteToUDP(b[:n], to)
		}
	}()
	t.Cleanup(func() {
		front.Close()
		back.Close()
		<-done
		<-done
	})
	return fmt.Sprint(front.LocalAddr())
}
