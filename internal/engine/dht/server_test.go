package dht

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhoeverIsAnsweredSaysSo holds that one answer counts for as long as a node
// is good (BEP 5, "Routing Table"), and a packet that is none does not.
func TestWhoeverIsAnsweredSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := netip.MustParseAddrPort("192.0.2.7:6881")
		asked := make(chan []byte, 100)
		s := Start(ServerConfig{
			Send: func(b []byte, _ netip.AddrPort) { asked <- b }, Four: true, Bootstrap: []string{"node.test:6881"},
			Lookup: func(context.Context, string, string) ([]netip.Addr, error) { return []netip.Addr{node.Addr()}, nil },
		})
		defer s.Close()
		answers := func(want bool) {
			t.Helper()
			synctest.Wait()
			if got := s.Answers(time.Now()); got != want {
				t.Errorf("it says that it is answered: %v, want %v", got, want)
			}
		}
		s.Search([20]byte{1}, 6881, func([]netip.AddrPort) {})
		question, err := parse(<-asked)
		if err != nil {
			t.Fatal(err)
		}
		answers(false)
		s.Receive([]byte("no message"), node)
		answers(false)
		m := message{kind: answer, id: ID{7}, transaction: question.transaction}
		s.Receive(m.bytes(), node)
		answers(true)
		time.Sleep(goodFor - time.Second) // Of the bubble, in no time.
		answers(true)
		time.Sleep(time.Second)
		answers(false)
	})
}

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
