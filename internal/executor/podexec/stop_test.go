package podexec

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Of two that stop a download, the later must not stop what was begun after the
// earlier had ended: it would take away the Job of somebody who asked for it since.
func TestStoppingTwiceDoesNotReachWhatWasAskedForInBetween(t *testing.T) {
	for _, data := range []download.Disposal{download.Keep, download.Erase} {
		stopTwice(t, data)
	}
}

func stopTwice(t *testing.T, data download.Disposal) {
	x := New(Config{}) // It has no cluster: to touch anything would panic.
	if err := x.Ensure(t.Context(), one, *asked()); err != nil {
		t.Fatal(err)
	}
	e := x.enter(one)
	e.mu.Unlock()
	e.busy.Lock() // The earlier is at work.
	later := make(chan error)
	go func() { later <- x.Stop(t.Context(), one, *asked(), data) }()
	for e.mu.Lock(); !e.stopping; e.mu.Lock() {
		e.mu.Unlock()
		runtime.Gosched()
	}
	e.mu.Unlock()
	x.forget(one, e)
	if err := x.Ensure(t.Context(), one, *asked()); err != nil {
		t.Fatal(err)
	}
	e.busy.Unlock()
	// What was stopped before has kept its data.
	if err := <-later; errors.Is(err, download.ErrEnding) != (data == download.Erase) || err != nil && data == download.Keep {
		t.Error(err)
	}
	if p, err := x.Observe(t.Context(), one); err != nil || p.State != download.StateWaiting {
		t.Errorf("what was asked for since is %v, %v", p.State, err)
	}
}

// Whoever may make Pods and Jobs may write a quarter of a mebibyte of
// annotations into each.
func TestOfWhatMayBeInTheWayOnlyWhatIsLookedAtIsHeld(t *testing.T) {
	job, pod := made(t, one)
	for _, o := range []client.Object{job, pod} {
		want := len(o.GetAnnotations())
		o.GetAnnotations()["much"], o.GetAnnotations()[domain+"much"] = strings.Repeat("x", 1000), strings.Repeat("x", 1000)
		if slim(o); len(o.GetAnnotations()) != want || o.GetAnnotations()[annotationName] != one.Name {
			t.Errorf("%T holds %v", o, o.GetAnnotations())
		}
	}
}
