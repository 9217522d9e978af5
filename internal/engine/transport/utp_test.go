package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/utp"
)

// withoutTCP closes the listeners of a transport, so that it can be called over
// uTP alone.
func withoutTCP(t *testing.T, tr *Transport) *Transport {
	t.Helper()
	closeAll(tr.listeners)
	return tr
}

func useUTP(c *Config) { c.UTP = true }

// BEP 29: a peer that takes no connections over TCP is called over uTP, in the
// clear and encrypted.
func TestUTPWhereThereIsNoTCP(t *testing.T) {
	for _, e := range []download.Encryption{download.EncryptionDisable, download.EncryptionRequire} {
		t.Run(string(e), func(t *testing.T) {
			seed, callers := open(t, func(c *Config) { useUTP(c); c.Torrents = torrents{here: e} })
			leech, _ := open(t, func(c *Config) { useUTP(c); c.PeerID = them })
			withoutTCP(t, seed)
			out, err := leech.Dial(t.Context(), loopback(seed.Port()), here, e)
			if err != nil {
				t.Fatal(err)
			}
			in := <-callers
			defer out.Conn.Close()
			defer in.Conn.Close()
			for _, p := range []*Peer{out, in} {
				if _, ok := p.Conn.(*utp.Conn); !ok {
					t.Errorf("connected over a %T", p.Conn)
				}
				if p.Encrypted != (e == download.EncryptionRequire) {
					t.Errorf("encrypted: %v", p.Encrypted)
				}
			}
			if in.Addr != loopback(leech.Port()) {
				t.Errorf("the caller has address %v", in.Addr)
			}
			exchangeHellos(t, out, in)
		})
	}
}

// TCP has a head start: where it works, uTP is not tried.
func TestTCPComesFirst(t *testing.T) {
	seed, callers := open(t, useUTP)
	leech, _ := open(t, func(c *Config) { useUTP(c); c.PeerID = them })
	out, err := leech.Dial(t.Context(), loopback(seed.Port()), here, download.EncryptionAllow)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Conn.Close()
	in := <-callers
	defer in.Conn.Close()
	if _, ok := out.Conn.(*net.TCPConn); !ok {
		t.Errorf("connected over a %T", out.Conn)
	}
}

// Where uTP is not wanted its packets are lost, and nobody is called over it.
func TestWithoutUTP(t *testing.T) {
	seed, _ := open(t, func(c *Config) { c.Packets = true })
	leech, _ := open(t, func(c *Config) { useUTP(c); c.PeerID = them })
	withoutTCP(t, seed)
	got := served(t, seed)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := leech.Dial(ctx, loopback(seed.Port()), here, download.EncryptionAllow)
		done <- err
	}()
	if d := <-got; d.from != loopback(leech.Port()) { // The SYN, which is no packet of the DHT either.
		t.Errorf("a packet came from %v", d.from)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("connected")
	}
}

// Many packets at once arrive one by one, whatever the kernel makes of them:
// whole, and of one sender in order.
func TestManyPacketsAtOnce(t *testing.T) {
	seed, callers := open(t, useUTP)
	leech, _ := open(t, func(c *Config) { useUTP(c); c.PeerID = them })
	withoutTCP(t, seed)
	out, err := leech.Dial(t.Context(), loopback(seed.Port()), here, download.EncryptionDisable)
	if err != nil {
		t.Fatal(err)
	}
	in := <-callers
	defer in.Conn.Close()
	var want bytes.Buffer
	for i := range 500_000 {
		fmt.Fprintf(&want, "%d,", i)
	}
	go func() {
		_, _ = out.Conn.Write(want.Bytes())
		out.Conn.Close()
	}()
	if got, err := io.ReadAll(in.Conn); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d of %d bytes have come, or others: %v", len(got), want.Len(), err)
	}
}
