package engine

import (
	"context"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// session is a torrent from the moment its files are open until it stops or
// is to be checked again. All of it belongs to the torrent's goroutine.
type session struct {
	*hub
	info *metainfo.Info

	synced   chan error // Capacity 1: all wanted pieces are durable, or why not.
	complete bool       // All wanted pieces are verified.
	durable  bool       // And on stable storage.
	resumed  bool       // It was complete when it was opened.
	meter    meter
	web      webSeeds
}

// newSession makes the session of a torrent whose files are in store. It goes
// on with what was found while the torrent was resolved, if it was.
func newSession(t *Torrent, store *disk.Store, from *resolving) *session {
	m := t.meta.Load()
	s := &session{info: m.Info, synced: make(chan error, 1), web: webSeeds{}}
	if from != nil {
		s.hub = from.hub
	} else {
		s.hub = newHub(t)
	}
	s.store = store
	have := store.Have()
	c := swarm.Config{
		Metadata: m.InfoBytes,
		Pieces:   m.Info.PieceCount(), PieceLength: m.Info.PieceLength, Length: m.Info.Length,
		Wanted: t.selection.Wanted(), Sequential: t.files.Sequential,
		Have: have, Partial: partial(store), Seed: randomSeed(), InfoHash: m.InfoHash, PeerID: t.engine.peerID,
		Port: uint16(t.engine.Port()), Client: clientVersion,
		Private: m.Info.Private, NoPEX: s.want.NoPEX, DHTPort: t.engine.dhtPort(), Filter: swarm.Filter(s.want.Filter),
		MaxPeers: s.want.Limits.MaxPeers, DownloadLimit: s.want.Limits.DownloadBytesPerSecond,
	}
	s.meter = newMeter(m.Info, t.selection, have)
	s.t.amend(func(p *download.Progress) { p.BytesVerified = s.meter.verified }) // Trackers are told.
	switch {
	case from == nil:
		s.swarm = swarm.New(time.Now(), c)
		s.search(m.Tiers(), m.Info.Private)
	case m.Info.Private: // The trackers that were asked before are left already.
		s.search(m.Tiers(), true)
		fallthrough
	default:
		s.perform(s.swarm.Resolve(time.Now(), c))
	}
	return s
}

// loop is where all events of the torrent are handled, one batch at a time.
func (s *session) loop(ctx context.Context) error {
	tick := time.NewTicker(s.t.engine.cfg.ProgressInterval)
	defer tick.Stop()
	s.begin()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-s.inbox.ready:
			s.inbox.take(func(events []swarm.Event) { s.handle(events) })
		case <-s.wake.C:
			s.handle(nil)
		case err := <-s.synced:
			if err != nil {
				return err
			}
			s.becomeDurable()
		case <-s.t.wake:
			want, verify := s.t.wishes()
			if verify || !want.Files.Equal(s.t.files) {
				return errAgain
			}
			s.apply(want)
		case a := <-s.t.asks:
			a <- s.closeUp()
		case <-tick.C:
		}
		if s.atRest() && s.t.rest() {
			return nil
		}
		s.publish(time.Now(), false)
	}
}

// begin starts what goes on around the swarm.
func (s *session) begin() {
	s.handle([]swarm.Event{{Kind: swarm.Found, Addrs: s.t.known}})
	if s.swarm.Complete() {
		s.resumed = true
		s.finish()
	} else {
		s.t.amend(func(p *download.Progress) { p.CompletedAt = time.Time{} })
		s.useWebSeeds(s.want.WebSeeds)
	}
	s.publish(time.Now(), true)
}

// handle counts events and follows what they come to.
func (s *session) handle(events []swarm.Event) {
	s.meter.count(events, time.Now())
	if fx := s.hub.handle(events); fx.Completed {
		s.finish()
	}
}

// apply makes what is wanted now true.
func (s *session) apply(want Update) {
	changed := want.Limits != s.want.Limits || want.NoPEX != s.want.NoPEX || !sameFilter(want.Filter, s.want.Filter)
	s.hub.apply(want)
	s.useWebSeeds(want.WebSeeds)
	if changed {
		s.handle([]swarm.Event{{
			Kind: swarm.Reconfigured, MaxPeers: want.Limits.MaxPeers, DownloadLimit: want.Limits.DownloadBytesPerSecond,
			NoPEX: want.NoPEX, Filter: swarm.Filter(want.Filter),
		}})
	}
}

// finish is called when the last wanted piece was verified: what is left is to make
// all of it durable, which may take long and so goes on behind.
func (s *session) finish() {
	s.complete = true
	s.useWebSeeds(nil)
	s.publish(time.Now(), true)
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		s.synced <- s.store.Sync(s.ctx)
	}()
}

func (s *session) becomeDurable() {
	s.durable = true
	s.t.amend(func(p *download.Progress) {
		if p.CompletedAt.IsZero() {
			p.CompletedAt = s.store.Completed()
		}
	})
	s.publish(time.Now(), true)
	if !s.resumed && s.swarm.Have().IsFull() { // A part of it is not complete (BEP 21).
		s.trackers.Completed()
	}
}

// atRest says whether everything is done: complete, durable, and seeded as
// long as it should be.
func (s *session) atRest() bool {
	if !s.durable {
		return false
	}
	p := s.t.Progress()
	switch s.want.Seeding.Policy {
	case download.SeedForever:
		return false
	case download.SeedRatio:
		return float64(s.uploaded())*100 >= float64(s.want.Seeding.RatioPercent)*float64(p.BytesTotal)
	case download.SeedDuration:
		return time.Since(p.CompletedAt) >= s.want.Seeding.Duration
	default:
		return true
	}
}

// shutdown ends connections, says goodbye to trackers, and closes the files
// so that the next session goes on where this one was.
func (s *session) shutdown() error {
	s.t.known = s.swarm.Addrs()
	s.publish(time.Now(), true) // Trackers are told.
	goodbye := s.close()
	err := s.store.Close()
	if err == nil && s.complete && !s.durable { // Close has synced what was left.
		s.becomeDurable()
	}
	<-goodbye
	s.publishLast()
	return err
}

// pieceDone is the disk's answer to Finish; it runs on one of its workers.
func (t *Torrent) pieceDone(r disk.Result) {
	s := t.hub.Load()
	if s == nil {
		return
	}
	if r.Err != nil {
		s.fail(r.Err)
		return
	}
	e := swarm.Event{Kind: swarm.PieceDone, OK: r.OK, Digests: r.Digests}
	e.Msg.Index = r.Index
	s.inbox.post(e)
}
