package engine

import (
	"context"
	"errors"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
)

// resolving is a torrent of which only the info hash is known, while its info
// dictionary is fetched from peers (BEP 9). What it leaves, the session of the
// torrent goes on with: the same hub and the same swarm, so connections stay.
type resolving struct {
	*hub
	swarm     *swarm.Swarm
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
	err := r.loop(t.ctx)
	t.hub.Store(nil)
	if err == nil && r.info != nil {
		err = t.learn(r.info)
	}
	if err != nil || r.info == nil || t.spec.ResolveOnly {
		r.end()
		return nil, err
	}
	return r, nil
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
	r := &resolving{hub: newHub(t), began: time.Now()}
	r.swarm = swarm.NewResolving(r.began, swarm.Config{
		Seed: randomSeed(), InfoHash: t.hash, PeerID: t.engine.peerID,
		Port: uint16(t.engine.Port()), Client: clientVersion, MaxPeers: r.want.Limits.MaxPeers,
		NoPEX: r.want.NoPEX, Filter: swarm.Filter(r.want.Filter),
	})
	return r
}

// loop is where all events are handled until the info dictionary is there, or
// ctx ends.
func (r *resolving) loop(ctx context.Context) error {
	tick := time.NewTicker(r.t.engine.cfg.ProgressInterval)
	defer tick.Stop()
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	r.search(r.t.spec.Magnet.Tiers(), false)
	r.handle(nil, wake)
	r.publish(true)
	for r.info == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-r.inbox.ready:
			r.inbox.take(func(events []swarm.Event) { r.handle(events, wake) })
		case <-wake.C:
			r.handle(nil, wake)
		case <-r.t.wake:
			want, _ := r.t.wishes()
			r.apply(want)
			r.handle([]swarm.Event{{
				Kind: swarm.Reconfigured, MaxPeers: want.Limits.MaxPeers, NoPEX: want.NoPEX, Filter: swarm.Filter(want.Filter),
			}}, wake)
		case <-tick.C:
		}
		r.publish(false)
	}
	return nil
}

func (r *resolving) handle(events []swarm.Event, wake *time.Timer) {
	now := time.Now()
	fx := r.swarm.Handle(now, events)
	r.perform(fx)
	if fx.Info != nil {
		r.info = fx.Info
	}
	if !fx.Wake.IsZero() {
		wake.Reset(max(time.Millisecond, fx.Wake.Sub(now)))
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
		p.State, p.Err = download.StateResolving, nil
		p.Peers = download.Peers{Connected: stats.Connected, Known: stats.Known}
		p.Trackers = r.trackers.Status()
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
	<-r.close()
	r.t.amend(func(p *download.Progress) { p.Peers.Connected, p.Trackers = 0, nil })
}
