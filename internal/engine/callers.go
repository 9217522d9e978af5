package engine

import (
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
)

// callers tells the transport for which torrents callers are taken. It
// implements [transport.Torrents].
type callers struct{ e *Engine }

// Encryption implements [transport.Torrents]: a torrent whose files are being
// opened is not known yet.
func (c callers) Encryption(hash metainfo.Hash) (download.Encryption, bool) {
	h := c.e.serving(hash)
	if h == nil {
		return "", false
	}
	want, _ := h.t.wishes()
	return want.Encryption, true
}

// Named implements [transport.Torrents].
func (c callers) Named(name mse.Name) (metainfo.Hash, bool) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	hash, ok := c.e.named[name]
	return hash, ok
}

// Encrypts implements [transport.Torrents]. Mostly the first torrent that it
// looks at does.
func (c callers) Encrypts() bool {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for _, same := range c.e.torrents {
		for _, t := range same {
			if want, _ := t.wishes(); want.Encryption != download.EncryptionDisable {
				return true
			}
		}
	}
	return false
}
