package inproc

import (
	"context"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// content is what a request's source names: the metainfo, or the link with
// which it comes from peers or from what is kept on the volume, or both.
type content struct {
	meta   *metainfo.Metainfo
	magnet *metainfo.Magnet
}

// hash returns the info hash, which is the same for both.
func (c content) hash() metainfo.Hash {
	if c.meta != nil {
		return c.meta.InfoHash
	}
	return c.magnet.InfoHash
}

// only returns the files that the link asks for, nil for all.
func (c content) only() []metainfo.IndexRange {
	if c.magnet == nil {
		return nil
	}
	return c.magnet.Select
}

// read gets what a request names and holds it against the pinned info hash.
// The error is a [download.Failure].
func (x *Executor) read(ctx context.Context, r download.Request) (c content, err error) {
	switch {
	case r.Source.Magnet != "":
		c.magnet, err = engine.ReadMagnet(r.Source.Magnet)
	case r.Source.URL != nil:
		c.meta, err = x.cfg.Engine.FetchMetainfo(ctx, *r.Source.URL)
	default:
		c.meta, err = engine.ReadMetainfo(r.Source.Metainfo)
	}
	if err != nil {
		return content{}, err
	}
	return c, pinned(c.hash(), r)
}

// pinned holds an info hash against the one that a request pins.
func pinned(hash metainfo.Hash, r download.Request) error {
	if got := hash.String(); r.InfoHash != "" && !strings.EqualFold(r.InfoHash, got) {
		return download.FailForGood(download.ReasonInfoHashMismatch,
			"the torrent has info hash %s, and %s is wanted, because spec.verification.infoHash asks for it or the source yielded it before; correct whichever is wrong", got, strings.ToLower(r.InfoHash))
	}
	return nil
}
