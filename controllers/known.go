package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// memory is what the reconciler remembers of one object between two decisions.
// All of it may be lost.
type memory struct {
	lifecycle.Memory
	id          download.ID      // What runs, or ran, under this name.
	source      *download.Source // As last resolved, nil if it has to be read again.
	sourceSize  int              // Bytes that were read for it.
	credentials credentials
	written     time.Time // When the status was last written.
}

// rest lets go of what is read again before the download runs. The source of
// one whose files go with its object stays: it says which files those are, and
// may be deleted together with the object.
func (m *memory) rest(td *v1alpha1.TorrentDownload) {
	m.credentials = credentials{}
	if td.Spec.DeletionPolicy != v1alpha1.DeletionDelete {
		m.source = nil
	}
}

// known holds a memory for each object's name. The zero value is empty.
type known struct {
	mu sync.Mutex
	m  map[types.NamespacedName]memory
}

func (k *known) get(key types.NamespacedName) memory {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.m[key]
}

func (k *known) put(key types.NamespacedName, m memory) {
	k.change(key, func(old *memory) { *old = m })
}

func (k *known) wrote(key types.NamespacedName, at time.Time) {
	k.change(key, func(m *memory) { m.written = at })
}

// change changes one memory, or makes it.
func (k *known) change(key types.NamespacedName, f func(*memory)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.m == nil {
		k.m = map[types.NamespacedName]memory{}
	}
	m := k.m[key]
	f(&m)
	k.m[key] = m
}

func (k *known) forget(key types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, key)
}
