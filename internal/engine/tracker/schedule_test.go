package tracker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// script runs a schedule in time of its own. Its commands:
//
//	new [private] [seed=N]       with a tier a line
//	due                          begins what is due; says what is begun, and when to wake
//	answer URL [every=] [min=] [id=] [unknown]
//	scraped URL SEEDS PEERS | scraped URL fails
//	fail URL [text=] [retry=] [never] [silent]
//	pass DURATION
//	need | completed | goodbyes | status
//	extra URL...
type script struct {
	now    time.Time
	start  time.Time
	s      *schedule
	flying map[string]attempt
}

func TestScheduleScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/schedule", func(t *testing.T, path string) {
		t.Helper()
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		sc := &script{now: start, start: start, flying: map[string]attempt{}}
		datadriven.RunTest(t, path, sc.run)
	})
}

func (sc *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "new":
		var tiers [][]string
		for line := range strings.Lines(d.Input) {
			tiers = append(tiers, strings.Fields(line))
		}
		seed := uint64(1)
		d.MaybeScanArgs(t, "seed", &seed)
		sc.s = newSchedule(tiers, d.HasArg("private"), seed)
	case "due":
		return sc.due()
	case "answer":
		return sc.answer(t, d)
	case "fail":
		sc.fail(t, d)
	case "scraped":
		sc.scraped(t, d)
	case "pass":
		wait, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		sc.now = sc.now.Add(wait)
	case "need":
		sc.s.needPeers(sc.now)
	case "completed":
		sc.s.completed = true
	case "goodbyes":
		return list(sc.s.goodbyes())
	case "extra":
		var urls []string
		for _, a := range d.CmdArgs {
			urls = append(urls, a.Key)
		}
		return list(sc.s.setExtra(urls))
	case "status":
		return sc.status()
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return ""
}

func (sc *script) due() string {
	attempts, wake := sc.s.due(sc.now)
	for _, a := range attempts {
		sc.flying[a.endpoint.url] = a
	}
	out := list(attempts)
	if !wake.IsZero() {
		out += fmt.Sprintf("wake in %v\n", wake.Sub(sc.now).Round(time.Second))
	}
	return out
}

func (sc *script) take(t *testing.T, d *datadriven.TestData) attempt {
	t.Helper()
	url := d.CmdArgs[0].Key
	a, ok := sc.flying[url]
	if !ok {
		d.Fatalf(t, "%s is not being asked", url)
	}
	delete(sc.flying, url)
	return a
}

func (sc *script) answer(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	every, least, id := "30m", "1m", ""
	d.MaybeScanArgs(t, "every", &every)
	d.MaybeScanArgs(t, "min", &least)
	d.MaybeScanArgs(t, "id", &id)
	r := Reply{TrackerID: id, Seeds: 1, Peers: 2}
	if d.HasArg("unknown") {
		r.Seeds, r.Peers = -1, -1
	}
	var err1, err2 error
	r.Interval, err1 = time.ParseDuration(every)
	r.MinInterval, err2 = time.ParseDuration(least)
	if err := errors.Join(err1, err2); err != nil {
		d.Fatalf(t, "%v", err)
	}
	a := sc.take(t, d)
	out := ""
	if sc.s.answered(sc.now, a, r) {
		out = "to be scraped\n"
	}
	if a.endpoint.id != "" {
		out += "tracker id is now " + a.endpoint.id + "\n"
	}
	return out
}

func (sc *script) scraped(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	for _, list := range sc.s.lists {
		for _, tier := range list {
			for _, e := range tier.endpoints {
				switch {
				case e.url != d.CmdArgs[0].Key:
				case d.HasArg("fails"):
					e.scraped(-1, -1, errNotReply)
				default:
					seeds, err1 := strconv.Atoi(d.CmdArgs[1].Key)
					peers, err2 := strconv.Atoi(d.CmdArgs[2].Key)
					if err := errors.Join(err1, err2); err != nil {
						d.Fatalf(t, "%v", err)
					}
					e.scraped(seeds, peers, nil)
				}
			}
		}
	}
}

func (sc *script) fail(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	text, retry := "down", ""
	d.MaybeScanArgs(t, "text", &text)
	d.MaybeScanArgs(t, "retry", &retry)
	err := errors.New(text)
	if retry != "" || d.HasArg("never") {
		wait, parseErr := time.ParseDuration("0" + retry)
		if parseErr != nil {
			d.Fatalf(t, "%v", parseErr)
		}
		err = &FailureError{Reason: text, RetryIn: wait, Never: d.HasArg("never")}
	}
	if d.HasArg("silent") {
		err = errSilent
	}
	sc.s.failed(sc.now, sc.take(t, d), err)
}

func (sc *script) status() string {
	var out strings.Builder
	for _, st := range sc.s.status() {
		fmt.Fprintf(&out, "%s seeds=%d peers=%d", st.URL, st.Seeds, st.Peers)
		if !st.NextAnnounce.IsZero() {
			fmt.Fprintf(&out, " next in %v", st.NextAnnounce.Sub(sc.now).Round(time.Second))
		}
		if st.LastError != "" {
			fmt.Fprintf(&out, " error: %s", st.LastError)
		}
		out.WriteString("\n")
	}
	return out.String()
}

func list(attempts []attempt) string {
	var out strings.Builder
	for _, a := range attempts {
		event := a.event
		if event == None {
			event = "regular"
		}
		fmt.Fprintf(&out, "%s %s\n", a.endpoint.url, event)
	}
	return out.String()
}

func TestBEP12EachTierIsShuffled(t *testing.T) {
	urls := []string{"http://a/", "http://b/", "http://c/", "http://d/"}
	first := map[string]int{}
	for seed := range uint64(400) {
		s := newSchedule([][]string{urls, {"http://z/"}}, false, seed)
		first[s.lists[0][0].endpoints[0].url]++
		if got := s.lists[0][1].endpoints[0].url; got != "http://z/" {
			t.Fatalf("tiers have mixed: %s", got)
		}
	}
	for _, u := range urls {
		if first[u] < 60 {
			t.Errorf("%s was first %d times of 400", u, first[u])
		}
	}
}

func TestBackoffDoublesToALimitAndJitters(t *testing.T) {
	s := newSchedule(nil, false, 7)
	for failures := 1; failures < 100; failures++ {
		base := backoffLast
		if failures < 9 {
			base = min(backoffLast, backoffFirst<<(failures-1))
		}
		seen := map[time.Duration]bool{}
		for range 50 {
			d := s.backoff(failures)
			seen[d] = true
			if d < base*3/4 || d > base*5/4 {
				t.Fatalf("after %d failures it waits %v, around %v", failures, d, base)
			}
		}
		if len(seen) < 40 {
			t.Errorf("after %d failures only %d different waits of 50", failures, len(seen))
		}
	}
}

func TestNoMoreTrackersThanTheLimitAreUsed(t *testing.T) {
	many := make([]string, 3*maxTrackers)
	for i := range many {
		many[i] = fmt.Sprintf("http://t%d.example/", i)
	}
	s := newSchedule([][]string{many}, false, 1)
	if got := len(s.status()); got != maxTrackers {
		t.Errorf("%d trackers, want %d", got, maxTrackers)
	}
	s.setExtra([]string{"http://added.example/"})
	attempts, _ := s.due(time.Unix(0, 0))
	if len(attempts) != 2 { // One of the tier, and the one added.
		t.Errorf("%d announces at once", len(attempts))
	}
	s.setExtra(many)
	if got := len(s.status()); got != 2*maxTrackers {
		t.Errorf("%d trackers with those that were added, want %d", got, 2*maxTrackers)
	}
	s = newSchedule(nil, false, 1)
	s.setExtra(many)
	if attempts, _ := s.due(time.Unix(0, 0)); len(attempts) != maxParallel {
		t.Fatalf("%d announces at once, want %d", len(attempts), maxParallel)
	}
	if more, _ := s.due(time.Unix(0, 0)); len(more) != 0 {
		t.Errorf("%d more while those are under way", len(more))
	}
	s.failed(time.Unix(0, 0), attempts[0], errors.New("down"))
	if more, _ := s.due(time.Unix(0, 0)); len(more) != 1 {
		t.Errorf("%d more after one ended, want 1", len(more))
	}
}

// Whatever trackers do, each of them that is alive is asked again, and none
// before its minimum interval or its retry time has passed.
func TestScheduleNeverAsksTooEarlyAndNeverForgets(t *testing.T) {
	for seed := range uint64(60) {
		s := newSchedule([][]string{{"http://a/", "http://b/"}, {"http://c/"}}, seed%2 == 0, seed)
		s.setExtra([]string{"http://d/"})
		now := time.Unix(0, 0)
		floor := map[string]time.Time{}
		asked := map[string]int{}
		for range 400 {
			attempts, wake := s.due(now)
			for _, a := range attempts {
				asked[a.endpoint.url]++
				if a.event == None && now.Before(floor[a.endpoint.url]) {
					t.Fatalf("seed %d: %s is asked %v too early", seed, a.endpoint.url, floor[a.endpoint.url].Sub(now))
				}
				if s.rand.IntN(3) == 0 {
					s.failed(now, a, &FailureError{Reason: "no", RetryIn: time.Minute})
					floor[a.endpoint.url] = now.Add(time.Minute)
				} else {
					s.answered(now, a, Reply{Interval: 5 * time.Minute, MinInterval: 2 * time.Minute})
					floor[a.endpoint.url] = now.Add(2 * time.Minute)
				}
			}
			if s.rand.IntN(4) == 0 {
				s.needPeers(now)
			}
			switch {
			case len(attempts) > 0:
			case wake.IsZero():
				t.Fatalf("seed %d: nothing is due ever again", seed)
			case !wake.After(now):
				t.Fatalf("seed %d: it wants to be woken in the past", seed)
			default:
				now = earlier(wake, now.Add(time.Duration(s.rand.Int64N(int64(time.Minute)))))
			}
		}
		if asked["http://d/"] < 5 || asked["http://a/"]+asked["http://b/"] < 5 {
			t.Errorf("seed %d: asked %v", seed, asked)
		}
	}
}
