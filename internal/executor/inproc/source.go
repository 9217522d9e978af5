package inproc

import (
	"context"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// resolve gets the metainfo that a request names and holds it against the
// pinned info hash. The error is a [download.Failure].
func (x *Executor) resolve(ctx context.Context, r download.Request) (*metainfo.Metainfo, error) {
	var m *metainfo.Metainfo
	var err error
	if r.Source.URL != nil {
		m, err = x.cfg.Engine.FetchMetainfo(ctx, *r.Source.URL)
	} else {
		m, err = engine.ReadMetainfo(r.Source.Metainfo)
	}
	if err != nil {
		return nil, err
	}
	if err := pinned(m, r); err != nil {
		return nil, err
	}
	return m, nil
}

// pinned holds a metainfo against the info hash that a request pins.
func pinned(m *metainfo.Metainfo, r download.Request) error {
	if got := m.InfoHash.String(); r.InfoHash != "" && !strings.EqualFold(r.InfoHash, got) {
		return failForGood(download.ReasonInfoHashMismatch,
			"the torrent has info hash %s, and %s is wanted, because spec.verification.infoHash asks for it or the source yielded it before; correct whichever is wrong", got, strings.ToLower(r.InfoHash))
	}
	return nil
}
