package podexec_test

import (
	"os"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
)

func TestConformance(t *testing.T) {
	downloadtest.Run(t, func(t *testing.T) downloadtest.Subject {
		w := newWorld(t)
		return downloadtest.Subject{
			Executor: w.executor,
			Request:  w.request,
			Data:     func(_ download.ID, r download.Request) (there, intact bool) { return w.data(r) },
			Some:     download.Files{Include: []string{"below/"}},
			Damage:   func(_ download.ID, r download.Request) { w.damage(r) },
			Obstruct: func(_ download.ID, r download.Request) (remove func()) {
				stone := w.path(r, "one")
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
