package dht

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestPacketsOfStrangersPutNothingOff holds that what is due is done, however
// often strangers send packets: here the names of the nodes to enter by are
// looked up again, of which none was found.
func TestPacketsOfStrangersPutNothingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookups := 0 // Read after Close.
		s := Start(ServerConfig{
			Send: func([]byte, netip.AddrPort) {}, Four: true, Bootstrap: []string{"node.test:6881"},
			Lookup: func(context.Context, string, string) ([]netip.Addr, error) {
				lookups++
				return nil, nil
			},
		})
		s.Search([20]byte{1}, 6881, func([]netip.AddrPort) {})
		synctest.Wait()
		for end := time.Now().Add(2 * retryLast); time.Now().Before(end); {
			s.Receive([]byte("no message"), stranger)
			time.Sleep(busyTick / 2) // Of the bubble, in no time.
		}
		s.Close()
		if lookups < 3 {
			t.Errorf("the nodes to enter by were looked up %d times in %v, want more", lookups, 2*retryLast)
		}
	})
}
