package inproc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
)

func TestConformance(t *testing.T) {
	downloadtest.Run(t, func(t *testing.T) downloadtest.Subject {
		w := newWorld(t)
		return downloadtest.Subject{
			Executor: w.Executor,
			Request:  w.request,
			Data: func(_ download.ID, r download.Request) (there, intact bool) {
				return w.data(r.Volume.Path, r)
			},
			Some:   download.Files{Include: []string{"below/"}},
			Damage: func(_ download.ID, r download.Request) { w.damage(r) },
			Obstruct: func(_ download.ID, r download.Request) (remove func()) {
				stone := filepath.Join(w.volume, r.Volume.Path, "of-"+r.Volume.Path, "one")
				write(t, stone, []byte("the user's own"))
				return func() {
					if err := os.Remove(stone); err != nil {
						t.Fatal(err)
					}
				}
			},
		}
	})
}

// damage changes a byte in the middle of a file.
func (w *world) damage(r download.Request) {
	w.Helper()
	path := filepath.Join(w.volume, r.Volume.Path, "of-"+r.Volume.Path, "below", "two")
	b, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		w.Fatal(err)
	}
}
