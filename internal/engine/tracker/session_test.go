package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeTrackers answers announces without a network, so that whole sessions run
// in the virtual time of testing/synctest.
type fakeTrackers struct {
	mu    sync.Mutex
	began time.Time
	log   []string
	reply func(host string, q url.Values) (string, error)
}

func (f *fakeTrackers) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	f.mu.Lock()
	f.log = append(f.log, strings.TrimSpace(fmt.Sprintf("%v %s %s left=%s", time.Since(f.began).Round(time.Second), r.URL.Host, q.Get("event"), q.Get("left"))))
	reply := f.reply
	f.mu.Unlock()
	body, err := reply(r.URL.Host, q)
	if err == nil && body == "" {
		<-r.Context().Done()
		err = r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (f *fakeTrackers) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// startSession starts a session with trackers that answer by reply.
func startSession(cfg SessionConfig, reply func(string, url.Values) (string, error)) (*Session, *fakeTrackers) {
	f := &fakeTrackers{began: time.Now(), reply: reply}
	cfg.Client = NewClient(f, anywhere)
	if cfg.Stats == nil {
		cfg.Stats = func() Stats { return Stats{Left: 7} }
	}
	if cfg.Found == nil {
		cfg.Found = func([]netip.AddrPort) {}
	}
	return Start(cfg), f
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("announces:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func always(reply string) func(string, url.Values) (string, error) {
	return func(string, url.Values) (string, error) { return reply, nil }
}

func TestASessionAnnouncesFromStartToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := make(chan []netip.AddrPort, 10)
		var left atomic.Int64
		left.Store(7)
		s, f := startSession(SessionConfig{
			Tiers: [][]string{{"http://a.example/secretkey"}},
			Found: func(a []netip.AddrPort) { found <- a },
			Stats: func() Stats { return Stats{Left: left.Load()} },
		}, always("d8:completei1e10:incompletei2e8:intervali60e5:peers6:\x0a\x00\x00\x01\x1a\xe1e"))
		synctest.Wait()
		if got, want := <-found, addrs("10.0.0.1:6881"); !slices.Equal(got, want) {
			t.Errorf("found %v, want %v", got, want)
		}
		st := s.Status()
		if len(st) != 1 || st[0].URL != "http://a.example" || st[0].Seeds != 1 || st[0].Peers != 2 || st[0].LastError != "" ||
			!st[0].NextAnnounce.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("status %+v", st)
		}
		time.Sleep(90 * time.Second)
		left.Store(0)
		s.Completed()
		synctest.Wait()
		s.Stop(t.Context())
		s.Stop(t.Context())
		expect(t, f.take(), "0s a.example started left=7", "1m0s a.example  left=7", "1m30s a.example completed left=0", "1m30s a.example stopped left=0")
		time.Sleep(time.Hour)
		expect(t, f.take())
	})
}

func TestPeersInNeedBringAnAnnounceForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{Tiers: [][]string{{"http://a.example/"}}},
			always("d8:intervali1800e12:min intervali120ee"))
		synctest.Wait()
		s.NeedPeers()
		s.NeedPeers()
		time.Sleep(119 * time.Second)
		expect(t, f.take(), "0s a.example started left=7")
		time.Sleep(2 * time.Second)
		expect(t, f.take(), "2m0s a.example  left=7")
		s.Stop(t.Context())
	})
}

func TestANeedIsHeardHoweverOftenItIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{Tiers: [][]string{{"http://a.example/"}, {"http://b.example/"}}},
			func(host string, _ url.Values) (string, error) {
				time.Sleep(300 * time.Millisecond) // The need is said before there is an answer, and after.
				return "d8:intervali1800ee", nil
			})
		for range 1000 {
			s.NeedPeers()
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		expect(t, f.take(), "0s a.example started left=7", "1s b.example started left=7")
		s.Stop(t.Context())
	})
}

func TestBEP12ASessionFallsBackToTheNextTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{Tiers: [][]string{{"http://down.example/secretkey"}, {"http://up.example/"}}},
			func(host string, _ url.Values) (string, error) {
				if host == "down.example" {
					return "", errors.New("connection refused by /secretkey")
				}
				return "d8:intervali1800ee", nil
			})
		synctest.Wait()
		expect(t, f.take(), "0s down.example started left=7", "0s up.example started left=7")
		if st := s.Status(); st[0].LastError == "" || st[1].LastError != "" || strings.Contains(fmt.Sprint(st), "secretkey") {
			t.Errorf("status %+v", st)
		}
		s.Stop(t.Context())
		expect(t, f.take(), "0s up.example stopped left=7")
	})
}

func TestTrackersOfTheUserMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{Extra: []string{"http://a.example/"}}, always("d8:intervali1800ee"))
		synctest.Wait()
		s.SetExtra([]string{"http://b.example/", "wss://c.example/"})
		synctest.Wait()
		expect(t, f.take(), "0s a.example started left=7", "0s a.example stopped left=7", "0s b.example started left=7")
		if st := s.Status(); len(st) != 2 || st[0].URL != "http://b.example" || !strings.Contains(st[1].LastError, "not supported") {
			t.Errorf("status %+v", st)
		}
		s.Stop(t.Context())
	})
}

func TestASilentTrackerTimesOutAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{Tiers: [][]string{{"http://a.example/"}}}, always(""))
		time.Sleep(maxTime + time.Second)
		if st := s.Status(); !strings.Contains(st[0].LastError, "did not answer in time") {
			t.Errorf("status %+v", st)
		}
		time.Sleep(backoffFirst * 5 / 4)
		if got := f.take(); len(got) != 2 {
			t.Errorf("announces: %v", got)
		}
		began := time.Now()
		s.Stop(t.Context())
		if d := time.Since(began); d != 0 {
			t.Errorf("stopping took %v although no tracker knows of us", d)
		}
	})
}

func TestStopWaitsNoLongerThanItMay(t *testing.T) {
	for _, c := range []struct {
		name          string
		allowed, want time.Duration
	}{{"by its context", 2 * time.Second, 2 * time.Second}, {"by its own bound", time.Hour, maxGoodbye}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f := startSession(SessionConfig{Tiers: [][]string{{"http://a.example/"}}}, always("d8:intervali1800ee"))
				synctest.Wait()
				f.mu.Lock()
				f.reply = always("")
				f.mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), c.allowed)
				defer cancel()
				began := time.Now()
				s.Stop(ctx)
				if d := time.Since(began); d != c.want {
					t.Errorf("stopping took %v, want %v", d, c.want)
				}
				expect(t, f.take(), "0s a.example started left=7", "0s a.example stopped left=7")
			})
		})
	}
}

func TestACompletionIsToldEvenWhenTheSessionStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{Tiers: [][]string{{"http://a.example/"}}}, always("d8:intervali1800ee"))
		synctest.Wait()
		f.take()
		s.Completed()
		s.Stop(t.Context())
		got := f.take()
		if n := len(got); n < 2 || got[n-2] != "0s a.example completed left=7" || got[n-1] != "0s a.example stopped left=7" {
			t.Errorf("announces: %v", got)
		}
	})
}
