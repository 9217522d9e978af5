package tracker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// air is a network without packets' way, for the virtual time of
// testing/synctest: what is sent is answered by answer, after the time that it
// says, or never if that is negative.
type air struct {
	answer func(to netip.AddrPort, r packetRequest) (b []byte, after time.Duration)

	mu     sync.Mutex
	began  time.Time
	log    []string
	opened int
	in     chan datagram
	closed chan struct{}
}

type datagram struct {
	b    []byte
	from netip.AddrPort
}

// newAir returns a client on a network of its own, where t.example is at some
// addresses. The client ends with stop.
func newAir(t *testing.T, answer func(netip.AddrPort, packetRequest) ([]byte, time.Duration), addrs ...string) (*Client, *air) {
	t.Helper()
	a := &air{answer: answer, began: time.Now()}
	c := NewClient(nil, anywhere)
	resolving(c, addrs...)
	c.datagrams.listen = func() (packetConn, error) {
		a.opened++
		a.in, a.closed = make(chan datagram, 100), make(chan struct{})
		return a, nil
	}
	return c, a
}

func (a *air) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-a.in:
		return copy(b, d.b), d.from, nil
	case <-a.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (a *air) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	r, _ := parseRequest(b)
	what := []string{"connect", "announce", "scrape"}[r.Action]
	if r.Announce.Event != None {
		what += " " + string(r.Announce.Event)
	}
	a.mu.Lock()
	a.log = append(a.log, fmt.Sprintf("%v %s", time.Since(a.began).Round(time.Second).Seconds(), what))
	a.mu.Unlock()
	if answer, after := a.answer(to, r); after >= 0 {
		time.AfterFunc(after, func() {
			select {
			case a.in <- datagram{answer, to}:
			case <-a.closed:
			}
		})
	}
	return len(b), nil
}

func (a *air) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.closed:
	default:
		close(a.closed)
	}
	return nil
}

func (a *air) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	log := a.log
	a.log = nil
	return log
}

// inOrder checks what was sent when, in seconds.
func inOrder(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sessionOver starts a session with one UDP tracker.
func sessionOver(c *Client) *Session {
	return Start(SessionConfig{
		Client: c, Tiers: [][]string{{"udp://t.example:80/secretkey"}},
		Stats: func() Stats { return Stats{Left: 7} }, Found: func([]netip.AddrPort) {},
	})
}

const never = -time.Second

func TestBEP15AConnectThatTimesOutIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newAir(t, func(netip.AddrPort, packetRequest) ([]byte, time.Duration) { return nil, never }, "192.0.2.1")
		defer c.Close()
		s := sessionOver(c)
		time.Sleep(4 * time.Hour)
		inOrder(t, a.take(), "0 connect", "15 connect", "45 connect", "105 connect", "225 connect", "465 connect", "945 connect",
			"1905 connect", "3825 connect", "7665 connect", "11505 connect")
		if st := s.Status()[0]; st.LastError != "the tracker did not answer: nothing came from 192.0.2.1:80 within 15s" || st.URL != "udp://t.example:80" {
			t.Errorf("status %+v", st)
		}
		began := time.Now()
		s.Stop(t.Context())
		if d := time.Since(began); d != 0 {
			t.Errorf("stopping took %v although no tracker knows of us", d)
		}
	})
}

func TestBEP15AnAnnounceThatTimesOutIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connects := 0
		c, a := newAir(t, func(_ netip.AddrPort, r packetRequest) ([]byte, time.Duration) {
			if r.Action == actionConnect && connects == 0 {
				connects++
				return answer(r, false), 2 * time.Second
			}
			return nil, never
		}, "192.0.2.1")
		defer c.Close()
		s := sessionOver(c)
		time.Sleep(5 * time.Minute)
		// As in the example, but that one waits a second between some.
		inOrder(t, a.take(), "0 connect", "2 announce started", "17 announce started", "47 announce started", "107 connect", "227 connect")
		s.Stop(t.Context())
	})
}

func TestBEP15AConnectionIDIsUsedForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newAir(t, func(_ netip.AddrPort, r packetRequest) ([]byte, time.Duration) { return answer(r, false), 0 }, "192.0.2.1")
		defer c.Close()
		ask := func() {
			if _, err := c.Announce(t.Context(), "udp://t.example:80", Announce{}); err != nil {
				t.Error(err)
			}
		}
		ask()
		ask()
		if _, _, err := c.Scrape(t.Context(), "udp://t.example:80", [20]byte{}); err != nil {
			t.Error(err)
		}
		time.Sleep(connectionLife - time.Nanosecond)
		ask()
		time.Sleep(time.Nanosecond)
		ask()
		inOrder(t, a.take(), "0 connect", "0 announce", "0 announce", "0 scrape", "60 announce", "60 connect", "60 announce")
		if a.opened != 1 {
			t.Errorf("%d sockets", a.opened)
		}
	})
}

func TestALateAnswerDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delay atomic.Int64
		delay.Store(int64(answerTime + time.Second))
		c, a := newAir(t, func(_ netip.AddrPort, r packetRequest) ([]byte, time.Duration) {
			return answer(r, false), time.Duration(delay.Load())
		}, "192.0.2.1")
		defer c.Close()
		s := sessionOver(c)
		time.Sleep(50 * time.Second)
		if st := s.Status()[0]; !strings.Contains(st.LastError, "did not answer") {
			t.Errorf("status %+v", st)
		}
		a.take()
		delay.Store(int64(answerTime - time.Second)) // It arrives just in time, twice.
		time.Sleep(2 * time.Minute)
		inOrder(t, a.take(), "105 connect", "119 announce started")
		if st := s.Status()[0]; st.LastError != "" || st.Seeds != 3 || st.Peers != 2 {
			t.Errorf("status %+v", st)
		}
		delay.Store(0)
		s.Stop(t.Context())
		inOrder(t, a.take(), "170 announce stopped")
	})
}

func TestAStopEndsWhatIsUnderWayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, action := range []uint32{actionConnect, actionAnnounce} {
			c, _ := newAir(t, func(_ netip.AddrPort, r packetRequest) ([]byte, time.Duration) {
				if r.Action == action {
					return nil, never
				}
				return answer(r, false), 0
			}, "192.0.2.1", "2001:db8::1")
			s := sessionOver(c)
			synctest.Wait()
			began := time.Now()
			s.Stop(t.Context())
			if d := time.Since(began); d != 0 {
				t.Errorf("with action %d not answered, stopping took %v", action, d)
			}
			if n := len(c.datagrams.waiting); n != 0 {
				t.Errorf("%d questions still wait", n)
			}
			c.Close()
		}
	})
}

func TestASilentFamilyDoesNotHoldBackTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newAir(t, func(to netip.AddrPort, r packetRequest) ([]byte, time.Duration) {
			if to.Addr().Is6() {
				return nil, never
			}
			return answer(r, false), time.Second
		}, "2001:db8::1", "192.0.2.1")
		defer c.Close()
		began := time.Now()
		r, err := c.Announce(t.Context(), "udp://t.example:80", Announce{})
		if err != nil || len(r.Addrs) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if d := time.Since(began); d != 2*time.Second+familyTime {
			t.Errorf("it took %v", d)
		}
	})
}

func TestTheFirstOfSeveralAddressesToAnswerIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newAir(t, func(to netip.AddrPort, r packetRequest) ([]byte, time.Duration) {
			if to.Addr() != netip.MustParseAddr("192.0.2.2") {
				return nil, never
			}
			return answer(r, false), 0
		}, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		defer c.Close()
		for range 2 {
			if r, err := c.Announce(t.Context(), "udp://t.example:80", Announce{}); err != nil || len(r.Addrs) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		}
		inOrder(t, a.take(), "0 connect", "0 connect", "0 connect", "0 announce", "0 announce")
	})
}

func TestNoMoreAddressesOfATrackerThanTheLimitAreTried(t *testing.T) {
	for _, n := range []int{maxAddresses - 1, maxAddresses, maxAddresses + 1} {
		synctest.Test(t, func(t *testing.T) {
			var all []string
			for i := range n {
				all = append(all, fmt.Sprintf("192.0.2.%d", i+1), fmt.Sprintf("2001:db8::%x", i+1))
			}
			c, a := newAir(t, func(netip.AddrPort, packetRequest) ([]byte, time.Duration) { return nil, never }, all...)
			defer c.Close()
			if _, err := c.Announce(t.Context(), "udp://t.example:80", Announce{}); err == nil {
				t.Error("somebody answers")
			}
			if got := len(a.take()); got != 2*min(n, maxAddresses) {
				t.Errorf("%d packets for %d addresses of either family", got, n)
			}
		})
	}
}

func TestAnAnnounceWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newAir(t, func(netip.AddrPort, packetRequest) ([]byte, time.Duration) { return nil, never }, "192.0.2.1")
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Announce(ctx, "udp://t.example:80", Announce{}); err == nil || !strings.Contains(err.Error(), "did not answer in time") {
			t.Errorf("%v", err)
		}
	})
}

func TestASocketThatBreaksIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := newAir(t, func(_ netip.AddrPort, r packetRequest) ([]byte, time.Duration) { return answer(r, false), 0 }, "192.0.2.1")
		defer c.Close()
		for want := range 2 {
			if _, err := c.Announce(t.Context(), "udp://t.example:80", Announce{}); err != nil || a.opened != want+1 {
				t.Errorf("%v, %d sockets", err, a.opened)
			}
			a.Close()
			synctest.Wait()
		}
	})
}
