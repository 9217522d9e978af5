package disk

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// handles is the engine's one cache of open files. Idle ones are closed,
// longest unused first, as soon as there are more than max; those in use
// beyond max are bounded by how many goroutines use files at once.
//
// A file that was written is synced through the very handle that wrote it,
// before that is closed, because only this handle is sure to be told of
// errors. So a closed handle means a clean file, and nobody has to remember
// which files were touched.
type handles struct {
	max int

	mu   sync.Mutex
	open map[handleKey]*handle
	idle list.List // Of *handle with users == 0, most recently used first.
}

type handleKey struct {
	store *Store
	file  int // Index in Info.Files, or Store.partsFile.
	write bool
}

// handle is an open file of a torrent.
type handle struct {
	File
	key   handleKey
	users int           // Guarded by handles.mu.
	place *list.Element // In handles.idle, or nil. Guarded by handles.mu.
	gone  bool          // To be closed by its last user. Guarded by handles.mu.

	writing sync.Mutex  // Held while writing: the system lets one write at a time, and who waits for it there spins.
	syncing sync.Mutex  // Held during Sync, so that who waits for it knows its outcome.
	dirty   atomic.Bool // Written since Sync began last. Set after writing and before release.
}

func newHandles(limit int) *handles {
	return &handles{max: limit, open: map[handleKey]*handle{}}
}

// acquire opens a file, or takes a handle that is open. It is given back with
// release.
func (c *handles) acquire(key handleKey) (*handle, error) {
	c.mu.Lock()
	h := c.take(handleKey{key.store, key.file, true})
	if h == nil && !key.write {
		h = c.take(key)
	}
	c.mu.Unlock()
	if h != nil {
		return h, nil
	}
	f, err := key.store.openFile(key.file, key.write)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if h = c.take(key); h != nil {
		c.mu.Unlock()
		f.Close()
		return h, nil
	}
	h = &handle{File: f, key: key, users: 1}
	c.open[key] = h
	c.mu.Unlock()
	c.shrink()
	return h, nil
}

// take returns the open handle of key, or nil. It holds c.mu.
func (c *handles) take(key handleKey) *handle {
	h := c.open[key]
	if h == nil {
		return nil
	}
	h.users++
	if h.place != nil {
		c.idle.Remove(h.place)
		h.place = nil
	}
	return h
}

// release ends a use of h.
func (c *handles) release(h *handle) {
	c.mu.Lock()
	h.users--
	last := h.users == 0 && h.gone
	if h.users == 0 && !h.gone {
		h.place = c.idle.PushFront(h)
	}
	c.mu.Unlock()
	if last {
		h.Close()
	}
	c.shrink()
}

// shrink closes idle handles until there are no more than max.
func (c *handles) shrink() {
	for {
		c.mu.Lock()
		if len(c.open) <= c.max || c.idle.Len() == 0 {
			c.mu.Unlock()
			return
		}
		h := c.victim()
		c.take(h.key)
		c.mu.Unlock()
		h.flush() // An error has ended the store, which is where it is told.
		c.mu.Lock()
		h.users--
		closing := h.users == 0 && (h.gone || !h.dirty.Load())
		switch {
		case h.users > 0:
		case closing && c.open[h.key] == h:
			delete(c.open, h.key)
		case !closing: // Written again meanwhile.
			h.place = c.idle.PushFront(h)
		}
		c.mu.Unlock()
		if closing {
			h.Close()
		}
	}
}

// victim chooses the idle handle to be closed next: one that needs no sync,
// if there is any. It holds c.mu.
func (c *handles) victim() *handle {
	for e := c.idle.Back(); e != nil; e = e.Prev() {
		if h := e.Value.(*handle); !h.dirty.Load() {
			return h
		}
	}
	return c.idle.Back().Value.(*handle)
}

// flush syncs the file if it was written since the last time. An error means
// that bytes are lost, and ends the store.
func (h *handle) flush() error {
	h.syncing.Lock()
	defer h.syncing.Unlock()
	if !h.dirty.Swap(false) {
		return nil
	}
	began := time.Now()
	err := h.Sync()
	took(&h.key.store.load.syncs, &h.key.store.load.syncing, began)
	if err != nil {
		err = fault("sync", h.key.store.name(h.key.file), err)
		h.key.store.lose(err)
		return err
	}
	return nil
}

// flush syncs all files of s that were written. Those that were closed
// meanwhile have been synced then.
func (c *handles) flush(s *Store) error {
	for _, key := range c.keys(s) {
		c.mu.Lock()
		h := c.take(key)
		c.mu.Unlock()
		if h == nil {
			continue
		}
		err := h.flush()
		c.release(h)
		if err != nil {
			return err
		}
	}
	return nil
}

// keys returns which files of s are open.
func (c *handles) keys(s *Store) []handleKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []handleKey
	for key := range c.open {
		if key.store == s {
			all = append(all, key)
		}
	}
	return all
}

// drop closes all files of s; those in use, when they are released.
func (c *handles) drop(s *Store) {
	var closing []*handle
	c.mu.Lock()
	for key, h := range c.open {
		if key.store != s {
			continue
		}
		delete(c.open, key)
		if h.place != nil {
			c.idle.Remove(h.place)
			h.place = nil
			closing = append(closing, h)
		} else {
			h.gone = true
		}
	}
	c.mu.Unlock()
	for _, h := range closing {
		h.Close()
	}
}
