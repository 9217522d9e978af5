package tracker

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// errSilent is matched by the failure of an announce to a UDP tracker of which
// nothing came back.
var errSilent = errors.New("the tracker did not answer")

// schedule decides which trackers of one torrent are asked when, and what
// event each is told. It is pure: it reads no clock, its randomness comes from
// a seed, and it belongs to one goroutine.
//
// The torrent's own trackers are a list of tiers, asked as BEP 12 says: each
// tier is shuffled once, its trackers are tried in order until one answers,
// which moves to the front; a tier is in use only while none above it works.
// To that comes what peers in need require, unless the torrent is private and
// must not be announced twice: a tracker that is silent holds the next tier
// back for moments only, and when the first tiers have answered and more peers
// are needed nevertheless, all tiers are in use. Trackers that the user added
// are asked whatever the others do.
type schedule struct {
	rand      *rand.Rand
	lists     [][]*tier // The torrent's own tiers, then a list of one for each added tracker.
	private   bool
	wide      bool // All tiers are in use.
	completed bool // Trackers are to be told that the download completed.
	parallel  int  // Announces under way.
}

// tier is a group of trackers of which one is asked at a time.
type tier struct {
	endpoints []*endpoint // In the order in which they are tried; never empty.
	busy      bool        // One of them is being asked.
	since     time.Time   // It has been busy.
	slow      bool        // It does not hold the next tier back, though it is busy.
}

// endpoint is one tracker, and what it was told and has said.
type endpoint struct {
	url       string
	id        string    // The tracker id to send.
	tried, ok bool      // It was asked; it answered when it was asked last.
	dead      bool      // It is never to be asked again.
	started   bool      // It knows of us.
	completed bool      // It was told that the download completed.
	failures  int       // Failures since it last answered.
	next      time.Time // When it is to be asked next; zero is at once.
	floor     time.Time // Before which it is not asked, whatever peers are needed.
	lastError string    // "" after an answer.
	seeds     int       // As its replies or else a scrape said last; -1 is not known.
	peers     int
	mute      bool // Scraping it is of no use.
}

// attempt is an announce to be made now. Its outcome is given back to
// [schedule.answered] or [schedule.failed].
type attempt struct {
	tier     *tier
	endpoint *endpoint
	event    Event
}

func newSchedule(tiers [][]string, private bool, seed uint64) *schedule {
	s := &schedule{rand: rand.New(rand.NewPCG(seed, 0)), private: private}
	seen := map[string]bool{}
	var own []*tier
	for _, urls := range tiers {
		t := &tier{}
		for _, u := range urls {
			if !seen[u] && len(seen) < maxTrackers {
				seen[u] = true
				t.endpoints = append(t.endpoints, newEndpoint(u))
			}
		}
		if len(t.endpoints) > 0 {
			s.rand.Shuffle(len(t.endpoints), func(i, j int) {
				t.endpoints[i], t.endpoints[j] = t.endpoints[j], t.endpoints[i]
			})
			own = append(own, t)
		}
	}
	s.lists = [][]*tier{own}
	return s
}

func newEndpoint(url string) *endpoint {
	e := &endpoint{url: url, seeds: -1, peers: -1}
	if _, err := parseURL(url); err != nil {
		e.dead, e.lastError = true, err.Error()
	}
	return e
}

// setExtra replaces the trackers that were added to the torrent's own. It
// returns the goodbyes to be said to those that are gone.
func (s *schedule) setExtra(urls []string) []attempt {
	old := map[string][]*tier{}
	for _, list := range s.lists[1:] {
		old[list[0].endpoints[0].url] = list
	}
	seen := map[string]bool{}
	for _, t := range s.lists[0] {
		for _, e := range t.endpoints {
			seen[e.url] = true
		}
	}
	most := len(seen) + maxTrackers // However many the torrent names, a user's count.
	s.lists = s.lists[:1:1]
	for _, u := range urls {
		if seen[u] || len(seen) >= most {
			continue
		}
		seen[u] = true
		list := old[u]
		delete(old, u)
		if list == nil {
			list = []*tier{{endpoints: []*endpoint{newEndpoint(u)}}}
		}
		s.lists = append(s.lists, list)
	}
	var gone []attempt
	for _, list := range old {
		gone = append(gone, goodbyes(list)...)
	}
	return gone
}

// due returns the announces to be made at now, and when to ask again if
// nothing happens before: the zero time is never.
func (s *schedule) due(now time.Time) (attempts []attempt, wake time.Time) {
	for _, list := range s.lists {
		for _, t := range list {
			t.slow = t.waits() && !s.private && now.Sub(t.since) >= patience
		}
		used := s.inUse(list)
		for _, t := range used {
			e := t.candidate()
			if t.busy || e == nil {
				continue
			}
			at := e.next
			if e.ok && s.event(e) != None {
				at = time.Time{}
			}
			switch {
			case at.After(now):
				wake = soonest(wake, at)
			case s.parallel < maxParallel:
				s.parallel++
				t.busy, t.since = true, now
				attempts = append(attempts, attempt{t, e, s.event(e)})
			}
		}
		if n := len(used); 0 < n && n < len(list) && !s.private && used[n-1].waits() {
			wake = soonest(wake, used[n-1].since.Add(patience))
		}
	}
	return attempts, wake
}

// soonest returns the earlier of two times, of which the first may be zero: none.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return earlier(a, b)
}

// waits says whether a tracker of the tier is being asked that did not answer
// when it was last asked, or never was.
func (t *tier) waits() bool { return t.busy && !t.endpoints[0].ok }

// inUse returns the tiers of a list that are to be asked: down to the first
// that neither fails nor is slow, or all.
func (s *schedule) inUse(list []*tier) []*tier {
	if s.wide {
		return list
	}
	for i, t := range list {
		if !t.failing() && !t.slow {
			return list[:i+1]
		}
	}
	return list
}

// failing says whether every tracker of the tier failed when it was last asked.
func (t *tier) failing() bool {
	for _, e := range t.endpoints {
		if !e.dead && (e.ok || !e.tried) {
			return false
		}
	}
	return true
}

// candidate returns the tracker to be asked next: the one that works, or the
// first that may be asked earliest. It is nil if there is none.
func (t *tier) candidate() *endpoint {
	if t.endpoints[0].ok {
		return t.endpoints[0]
	}
	var best *endpoint
	for _, e := range t.endpoints {
		if !e.dead && (best == nil || e.next.Before(best.next)) {
			best = e
		}
	}
	return best
}

// event returns what is to be told to a tracker with the next announce.
func (s *schedule) event(e *endpoint) Event {
	switch {
	case !e.started:
		return Started
	case s.completed && !e.completed:
		return Completed
	}
	return None
}

// answered takes note of a reply to an attempt. It says whether the tracker is
// to be scraped for the numbers that the reply does not give.
func (s *schedule) answered(now time.Time, a attempt, r Reply) (scrape bool) {
	s.parallel--
	a.tier.busy, a.tier.slow = false, false
	e := a.endpoint
	e.tried, e.ok, e.started = true, true, true
	e.completed = e.completed || a.event == Completed
	e.failures, e.lastError = 0, ""
	if r.TrackerID != "" {
		e.id = r.TrackerID
	}
	e.told(r.Seeds, r.Peers)
	e.next, e.floor = now.Add(r.Interval), now.Add(r.MinInterval)
	i := slices.Index(a.tier.endpoints, e)
	a.tier.endpoints = slices.Insert(slices.Delete(a.tier.endpoints, i, i+1), 0, e)
	return (r.Seeds < 0 || r.Peers < 0) && !e.mute
}

// told takes note of the numbers that a tracker gives.
func (e *endpoint) told(seeds, peers int) {
	if seeds >= 0 {
		e.seeds = seeds
	}
	if peers >= 0 {
		e.peers = peers
	}
}

// scraped takes note of the outcome of a scrape. A tracker whose scrape does
// not tell what is missing is not scraped again.
func (e *endpoint) scraped(seeds, peers int, err error) {
	e.mute = err != nil || seeds < 0 && peers < 0
	e.told(seeds, peers)
}

// failed takes note that an attempt failed. err is fit to be shown.
func (s *schedule) failed(now time.Time, a attempt, err error) {
	s.parallel--
	a.tier.busy, a.tier.slow = false, false
	e := a.endpoint
	if e.ok {
		// The others failed long ago: they get another chance before the next tier does.
		for _, other := range a.tier.endpoints {
			other.tried = other.tried && other.next.After(now)
		}
	}
	e.tried, e.ok = true, false
	e.failures++
	e.lastError = err.Error()
	wait := s.backoff(e.failures)
	if errors.Is(err, errSilent) {
		wait = retransmission(e.failures) - answerTime // That has passed.
	}
	var refused *FailureError
	if errors.As(err, &refused) {
		e.dead = refused.Never
		wait = max(wait, refused.RetryIn)
	}
	e.next = now.Add(wait)
}

// backoff returns how long to wait after so many failures, a quarter more or
// less, so that those who failed together do not come back together.
func (s *schedule) backoff(failures int) time.Duration {
	d := backoffLast
	if failures < 10 {
		d = min(d, backoffFirst<<(failures-1))
	}
	return d*3/4 + time.Duration(s.rand.Int64N(int64(d/2)))
}

// retransmission returns how long after a packet that was not answered it is
// sent again, after so many failures (BEP 15, "Time outs").
func retransmission(failures int) time.Duration {
	return retransmitFirst << min(failures-1, retransmitMost)
}

// needPeers brings announces forward as far as the trackers' minimum
// intervals allow, and takes further tiers into use if the first ones have
// told what they know.
func (s *schedule) needPeers(now time.Time) {
	for i, list := range s.lists {
		for _, t := range s.inUse(list) {
			e := t.endpoints[0]
			if !e.ok || !e.next.After(now) {
				continue
			}
			e.next = earlier(e.next, later(e.floor, now))
			if i == 0 && !s.private {
				s.wide = true
			}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// goodbyes returns the last announces to the trackers that know of us and
// could be reached.
func (s *schedule) goodbyes() []attempt {
	var out []attempt
	for _, list := range s.lists {
		out = append(out, goodbyes(list)...)
	}
	return out
}

func goodbyes(list []*tier) []attempt {
	var out []attempt
	for _, t := range list {
		for _, e := range t.endpoints {
			if e.started && e.ok {
				out = append(out, attempt{t, e, Stopped})
			}
		}
	}
	return out
}

// status returns the state of every tracker, the torrent's own ones first.
func (s *schedule) status() []download.Tracker {
	var out []download.Tracker
	for _, list := range s.lists {
		used := len(s.inUse(list))
		for i, t := range list {
			next := t.candidate()
			for _, e := range t.endpoints {
				st := download.Tracker{URL: redacted(e.url), LastError: e.lastError, Seeds: e.seeds, Peers: e.peers}
				if i < used && e == next && !t.busy {
					st.NextAnnounce = e.next
				}
				out = append(out, st)
			}
		}
	}
	return out
}
