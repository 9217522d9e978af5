package podexec

import (
	"runtime"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Of two that stop a download, the later must not stop what was begun after the
// earlier had ended: it would take away the Job of somebody who asked for it since.
func TestStoppingTwiceDoesNotReachWhatWasAskedForInBetween(t *testing.T) {
	x := New(Config{}) // It has no cluster: to touch anything would panic.
	if err := x.Ensure(t.Context(), one, *asked()); err != nil {
		t.Fatal(err)
	}
	e := x.enter(one)
	e.mu.Unlock()
	e.busy.Lock() // The earlier is at work.
	later := make(chan error)
	go func() { later <- x.Stop(t.Context(), one, *asked(), download.Keep) }()
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
	if err := <-later; err != nil {
		t.Error(err)
	}
	if p, err := x.Observe(t.Context(), one); err != nil || p.State != download.StateWaiting {
		t.Errorf("what was asked for since is %v, %v", p.State, err)
	}
}
