package tracker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// SessionConfig is one torrent and its trackers. Client, Stats and Found must
// be set.
type SessionConfig struct {
	Client  *Client
	Tiers   [][]string // The torrent's own announce URLs (BEP 12).
	Extra   []string   // Announce URLs added by the user, each asked whatever the others say.
	Private bool       // BEP 27: no further tier is asked while one works, and no Extra if there are Tiers.

	InfoHash, PeerID [20]byte
	Port             int

	// Stats returns the counters to be told. It is called from several
	// goroutines and must not block.
	Stats func() Stats
	// Found takes the addresses of a reply, which are then its own. It is
	// called from the session's goroutine and may block it for a while.
	Found func([]netip.AddrPort)
	// Logger may be nil.
	Logger *slog.Logger
}

// Session keeps one torrent announced. Its methods may be called from any
// goroutine; none but Stop blocks.
type Session struct {
	cfg    SessionConfig
	key    uint32
	cancel context.CancelFunc // Ends run, and the announces and scrapes under way.
	done   chan struct{}      // Closed when run has ended.
	status atomic.Pointer[[]download.Tracker]
	stop   sync.Once
	flying sync.WaitGroup // Announces and scrapes under way.
	counts chan counted   // What scrapes have told.

	// The schedule, and until when it is not to hear again that peers are
	// needed: run's own until done is closed, then Stop's.
	schedule *schedule
	deaf     time.Time

	mu    sync.Mutex // Guards want.
	want  wishes
	poked chan struct{} // Capacity 1; a token while want has news.
}

// wishes are what was asked of a session since its goroutine last looked.
type wishes struct {
	peers, completed bool
	extra            *[]string
}

// outcome is how an attempt ended.
type outcome struct {
	attempt
	reply Reply
	err   error
}

// counted is how a scrape ended.
type counted struct {
	*endpoint
	seeds, peers int
	err          error
}

// Start begins to announce a torrent. [Session.Stop] ends it.
func Start(cfg SessionConfig) *Session {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var random [12]byte
	rand.Read(random[:])
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{
		cfg: cfg, key: binary.BigEndian.Uint32(random[8:]),
		cancel: cancel, done: make(chan struct{}), poked: make(chan struct{}, 1), counts: make(chan counted),
		schedule: newSchedule(cfg.Tiers, cfg.Private, binary.BigEndian.Uint64(random[:])),
	}
	s.schedule.setExtra(s.extra(cfg.Extra))
	s.publish()
	go s.run(ctx)
	return s
}

// NeedPeers says that more addresses would be useful now. Trackers are asked
// again as early as their minimum intervals allow. It may be called as often as
// one likes.
func (s *Session) NeedPeers() {
	s.mu.Lock()
	known := s.want.peers
	s.want.peers = true
	s.mu.Unlock()
	if !known {
		s.wake()
	}
}

// Completed says that the download has just completed, which trackers are
// told. It is not to be called for one that was complete from the start.
func (s *Session) Completed() { s.poke(func(w *wishes) { w.completed = true }) }

// SetExtra replaces the trackers added by the user.
func (s *Session) SetExtra(urls []string) { s.poke(func(w *wishes) { w.extra = &urls }) }

// Status returns the state of every tracker. The result is not to be changed.
func (s *Session) Status() []download.Tracker { return *s.status.Load() }

// Stop ends the session and tells the trackers so. It returns when they have
// answered, when ctx ends, or after a few seconds; nothing of the session runs
// then. It may be called twice.
func (s *Session) Stop(ctx context.Context) {
	s.stop.Do(func() {
		s.cancel()
		<-s.done
		s.flying.Wait()
		ctx, cancel := context.WithTimeout(ctx, maxGoodbye)
		defer cancel()
		s.grant(ctx, time.Now())
		s.part(ctx, s.schedule.goodbyes())
		s.flying.Wait()
	})
}

// extra returns those trackers added by the user that are asked. The trackers
// of a private torrent are the only ones that may know of it (BEP 27); one that
// names none leaves it to the user.
func (s *Session) extra(urls []string) []string {
	if s.cfg.Private && len(s.cfg.Tiers) > 0 {
		return nil
	}
	return urls
}

func (s *Session) poke(wish func(*wishes)) {
	s.mu.Lock()
	wish(&s.want)
	s.mu.Unlock()
	s.wake()
}

func (s *Session) wake() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// run is the session's goroutine.
func (s *Session) run(ctx context.Context) {
	defer close(s.done)
	outcomes := make(chan outcome, maxParallel)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		attempts, wake := s.schedule.due(time.Now())
		for _, a := range attempts {
			request := s.request(a)
			s.flying.Go(func() {
				r, err := s.cfg.Client.Announce(ctx, a.endpoint.url, request)
				outcomes <- outcome{a, r, err}
			})
		}
		s.publish()
		timer.Stop()
		if now := time.Now(); s.deaf.After(now) && (wake.IsZero() || s.deaf.Before(wake)) {
			wake = s.deaf
		}
		if !wake.IsZero() {
			timer.Reset(max(0, time.Until(wake)))
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.grant(ctx, time.Now())
		case <-s.poked:
			s.grant(ctx, time.Now())
		case o := <-outcomes:
			s.note(ctx, o)
		case c := <-s.counts:
			c.scraped(c.seeds, c.peers, c.err)
		}
	}
}

// grant applies what was asked of the session.
func (s *Session) grant(ctx context.Context, now time.Time) {
	s.mu.Lock()
	want := s.want
	s.want = wishes{peers: want.peers && now.Before(s.deaf)}
	s.mu.Unlock()
	if want.completed {
		s.schedule.completed = true
	}
	if want.extra != nil {
		s.part(ctx, s.schedule.setExtra(s.extra(*want.extra)))
	}
	if want.peers && !now.Before(s.deaf) {
		s.deaf = now.Add(needEvery)
		s.schedule.needPeers(now)
	}
}

// note takes an outcome to the schedule and, if there are any, its addresses
// to whoever wants them.
func (s *Session) note(ctx context.Context, o outcome) {
	if ctx.Err() != nil {
		return
	}
	log := s.cfg.Logger.With("tracker", redacted(o.endpoint.url))
	if o.err != nil {
		s.schedule.failed(time.Now(), o.attempt, o.err)
		if o.endpoint.failures == 1 {
			log.Warn("a tracker can't be used for now", "error", o.err)
		}
		return
	}
	if s.schedule.answered(time.Now(), o.attempt, o.reply) {
		s.scrape(ctx, o.endpoint)
	}
	log.Debug("a tracker answered", "event", o.event, "addresses", len(o.reply.Addrs), "interval", o.reply.Interval)
	if o.reply.Warning != "" {
		log.Warn("a tracker warns", "warning", o.reply.Warning)
	}
	if len(o.reply.Addrs) > 0 {
		s.cfg.Found(o.reply.Addrs)
	}
}

// scrape asks a tracker for the numbers that its reply did not give.
func (s *Session) scrape(ctx context.Context, e *endpoint) {
	s.flying.Go(func() {
		seeds, peers, err := s.cfg.Client.Scrape(ctx, e.url, s.cfg.InfoHash)
		select {
		case s.counts <- counted{e, seeds, peers, err}:
		case <-ctx.Done():
		}
	})
}

// part says goodbye to trackers, to all of them at once. Who has not heard yet
// that the download completed hears it first.
func (s *Session) part(ctx context.Context, goodbyes []attempt) {
	for _, a := range goodbyes {
		last := s.request(a)
		events := []Event{Stopped}
		if s.schedule.event(a.endpoint) == Completed {
			events = []Event{Completed, Stopped}
		}
		s.flying.Go(func() {
			for _, event := range events {
				last.Event = event
				if _, err := s.cfg.Client.Announce(ctx, a.endpoint.url, last); err != nil {
					s.cfg.Logger.Debug("a tracker did not take the goodbye", "tracker", redacted(a.endpoint.url), "error", err)
					return
				}
			}
		})
	}
}

// request returns what an attempt tells its tracker.
func (s *Session) request(a attempt) Announce {
	r := Announce{
		InfoHash: s.cfg.InfoHash, PeerID: s.cfg.PeerID, Port: s.cfg.Port, Stats: s.cfg.Stats(),
		Event: a.event, NumWant: numWant, Key: s.key, TrackerID: a.endpoint.id,
	}
	if a.event == Stopped {
		r.NumWant = 0
	}
	return r
}

// publish makes the state of the trackers known.
func (s *Session) publish() {
	status := s.schedule.status()
	s.status.Store(&status)
}
