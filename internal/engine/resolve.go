package engine

import (
	"errors"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// resolving is a torrent of which only the info hash is known, while its info
// dictionary is fetched from peers (BEP 9), and then while its folder is
// checked. What it leaves, the session of the torrent goes on with: the same
// hub and the same swarm, so connections stay.
type resolving struct {
	*hub
	room      *room
	info      []byte // The dictionary, once it is there.
	began     time.Time
	published time.Time
}

// resolve sees to it that the torrent's metainfo is known. The result is nil
// if nobody had to be asked for it, or if the torrent is to stop.
func (t *Torrent) resolve() (*resolving, error) {
	if t.meta.Load() != nil {
		return nil, nil
	}
	if t.spec.Dir != "" {
		if info := disk.ReadInfo(t.spec.Dir, t.spec.Path, t.hash); info != nil {
			return nil, t.learn(info)
		}
	}
	r := newResolving(t)
	t.hub.Store(r.hub)
	r.search(t.spec.Magnet.Tiers(), false)
	r.handle(nil)
	r.publish(true)
	r.loop(t.ctx.Done(), func() bool { return r.info != nil })
	r.room.close()
	var err error
	if r.info != nil {
		err = t.learn(r.info)
	}
	if err != nil || r.info == nil || t.spec.ResolveOnly {
		r.end()
		return nil, err
	}
	return r, nil
}

// during does work, on a goroutine of its own, that has to be done before the
// session can begin. Meanwhile connections are kept and callers taken: they get
// the info dictionary, and what they say of pieces is kept.
func (r *resolving) during(work func()) {
	m := r.t.meta.Load()
	if m.Info.Private { // Which the trackers were asked without knowing (BEP 27).
		r.leaveTrackers()
		r.useDHT(false)
		r.useLocal(false)
	}
	r.perform(r.swarm.Learn(time.Now(), m.InfoBytes, m.Info.Private))
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	r.loop(done, func() bool { return false })
	r.t.wish(func() {}) // What was wished meanwhile of files is the session's to follow.
}

// learn takes in the torrent's info dictionary, whose hash is right.
func (t *Torrent) learn(info []byte) error {
	m, err := t.spec.Magnet.Metainfo(info)
	switch {
	case errors.Is(err, metainfo.ErrUnsupported):
		return download.FailForGood(download.ReasonUnsupportedTorrent, "%v", err)
	case err != nil:
		return download.FailForGood(download.ReasonMetainfoInvalid, "the torrent that the magnet link names can't be downloaded: %v", err)
	}
	t.meta.Store(m)
	t.log = t.log.With("torrent", m.Info.Name)
	want, _ := t.wishes()
	return t.choose(want.Files)
}

func newResolving(t *Torrent) *resolving {
	r := &resolving{hub: newHub(t), room: t.engine.metadata.room(), began: time.Now()}
	r.swarm = swarm.NewResolving(r.began, swarm.Config{
		Seed: randomSeed(), InfoHash: t.hash, PeerID: t.engine.peerID, Room: r.room,
		Port: uint16(t.engine.Port()), Client: clientVersion, MaxPeers: r.want.Limits.MaxPeers,
		NoPEX: r.want.NoPEX, DHTPort: t.engine.dhtPort(), Filter: swarm.Filter(r.want.Filter),
	})
	return r
}

// loop is where all events are handled until enough says so, or done is closed.
func (r *resolving) loop(done <-chan struct{}, enough func() bool) {
	tick := time.NewTicker(r.t.engine.cfg.ProgressInterval)
	defer tick.Stop()
	for !enough() {
		select {
		case <-done:
			return
		case <-r.inbox.ready:
			r.inbox.take(r.handle)
		case <-r.wake.C:
			r.handle(nil)
		case <-r.t.wake:
			want, _ := r.t.wishes()
			r.apply(want)
			r.handle([]swarm.Event{{
				Kind: swarm.Reconfigured, MaxPeers: want.Limits.MaxPeers, NoPEX: want.NoPEX, Filter: swarm.Filter(want.Filter),
			}})
		case a := <-r.t.asks:
			a <- r.closeUp()
		case <-tick.C:
		}
		r.publish(false)
	}
}

func (r *resolving) handle(events []swarm.Event) {
	if fx := r.hub.handle(events); fx.Info != nil {
		r.info = fx.Info
	}
}

// publish replaces the snapshot if an interval has passed, or at once.
func (r *resolving) publish(atOnce bool) {
	now := time.Now()
	if !atOnce && now.Sub(r.published) < r.t.engine.cfg.ProgressInterval {
		return
	}
	r.published = now
	stats := r.swarm.Stats(now)
	r.t.amend(func(p *download.Progress) {
		p.Peers = download.Peers{Connected: stats.Connected, Known: stats.Known}
		p.Trackers, p.DHT = r.trackers.Status(), r.dhtState(now)
		if r.info != nil { // The rest is for those to say who check its files.
			return
		}
		p.State, p.Err = download.StateResolving, nil
		if r.want.StallTimeout != 0 && now.Sub(r.began) >= r.want.StallTimeout {
			p.Err = r.whyStalled(p, &stats)
			if p.Err.Reason == download.ReasonNoPeers && stats.Connected > 0 {
				p.Err.Message = "the connected peers don't send the torrent's metadata, which is all that is missing of the magnet link; " +
					"add trackers or peers, or give the .torrent file itself"
			}
		}
	})
}

// end ends everything around a torrent that no session goes on with.
func (r *resolving) end() {
	r.t.hub.Store(nil)
	<-r.close()
	r.t.amend(func(p *download.Progress) { p.Peers.Connected, p.Trackers, p.DHT = 0, nil, "" })
}
