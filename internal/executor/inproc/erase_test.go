package inproc

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// A claim that was never bound, has lost its volume, or names one that is not
// its own leads to no data of ours, so nobody has to wait for an erasure.
func TestEraseWhereTheClaimHasNoVolumeIsDone(t *testing.T) {
	w := newWorld(t)
	pvc := func(name, volume string, phase corev1.PersistentVolumeClaimPhase) {
		w.create(&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name)},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: volume},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: phase},
		})
	}
	pvc("pending", "", corev1.ClaimPending)
	pvc("lost", "gone", corev1.ClaimLost)
	pvc("stranger", "pv-"+claim, corev1.ClaimBound)
	for _, name := range []string{"pending", "lost", "stranger"} {
		if err := w.Stop(t.Context(), id(name), w.into(name), download.Erase); err != nil {
			t.Errorf("claim %s: %v", name, err)
		}
	}
}

// What stood under a wanted name before is not ours to remove.
func TestEraseLeavesWhatStoodInTheWay(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	foreign := filepath.Join(w.volume, "a", "of-a", "one")
	write(t, foreign, []byte("the only copy of a thesis"))
	w.fails("a", r, download.ReasonPathConflict, true)
	if err := w.Stop(t.Context(), id("a"), r, download.Erase); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(foreign); err != nil || string(b) != "the only copy of a thesis" {
		t.Errorf("%q, %v", b, err)
	}
}

// Somebody who deletes downloads whose server never answers must not make the
// callers of Stop wait, all of them, for that server.
func TestErasuresThatWaitForAServerAreFew(t *testing.T) {
	w := newWorld(t)
	const callers = 3 * eraseFetches
	asked := make(chan struct{}, callers)
	silent := make(chan struct{})
	s := w.serve(httptest.NewServer, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-silent
	})
	r := w.from(download.URL{Address: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, callers)
	for range callers {
		go func() { ended <- w.Stop(ctx, id("a"), r, download.Erase) }()
	}
	for range callers - eraseFetches {
		if err := <-ended; !errors.Is(err, errFetches) {
			t.Errorf("ended with %v", err)
		}
	}
	for range eraseFetches {
		<-asked
	}
	cancel()
	for range eraseFetches {
		if err := <-ended; err == nil {
			t.Error("erased without knowing what")
		}
	}
	close(silent)
	if len(asked) > 0 {
		t.Error("the server was asked more often")
	}
}
