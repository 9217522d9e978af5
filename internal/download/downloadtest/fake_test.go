package downloadtest_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
)

func request(name string) download.Request {
	return download.Request{
		Source: download.Source{Metainfo: []byte(name)},
		Volume: download.Volume{ClaimName: "claim", Path: name},
	}
}

func TestFakeConforms(t *testing.T) {
	downloadtest.Run(t, func(*testing.T) downloadtest.Subject { return subject() })
}

// subject is a fake whose downloads complete unless they are obstructed.
func subject() downloadtest.Subject {
	var mu sync.Mutex
	obstructed := map[download.ID]bool{}
	fake := downloadtest.NewFake(func(id download.ID, r download.Request) download.Progress {
		mu.Lock()
		defer mu.Unlock()
		if obstructed[id] {
			return download.Progress{State: download.StateFailed, Err: &download.Failure{
				Reason: download.ReasonPathConflict, Message: "something else is there", Permanent: true,
			}}
		}
		return downloadtest.Succeed(id, r)
	})
	return downloadtest.Subject{
		Executor: fake,
		Request:  request,
		Some:     download.Files{Include: []string{"half"}},
		Data:     func(id download.ID, r download.Request) (bool, bool) { return fake.HasData(id.Namespace, r.Volume) },
		Damage:   func(id download.ID, r download.Request) { fake.Damage(id.Namespace, r.Volume) },
		Obstruct: func(id download.ID, _ download.Request) func() {
			mu.Lock()
			defer mu.Unlock()
			obstructed[id] = true
			return func() {
				mu.Lock()
				defer mu.Unlock()
				delete(obstructed, id)
			}
		},
	}
}

var one = download.ID{Namespace: "ml", Name: "imagenet", UID: "1"}

func TestSetIsObservedAndWakes(t *testing.T) {
	f := downloadtest.NewFake(downloadtest.Pending)
	if err := f.Ensure(t.Context(), one, request("a")); err != nil {
		t.Fatal(err)
	}
	<-f.Changes()
	if p, err := f.Observe(t.Context(), one); err != nil || p.State != download.StateResolving {
		t.Errorf("begins as %+v, %v", p, err)
	}
	f.Set(one, download.Progress{State: download.StateDownloading, BytesVerified: 7})
	if woken := <-f.Changes(); woken != one {
		t.Errorf("woken for %v", woken)
	}
	if p, err := f.Observe(t.Context(), one); err != nil || p.BytesVerified != 7 || p.At.IsZero() {
		t.Errorf("observed %+v, %v", p, err)
	}
}

// A request that changes does not undo what a test has set.
func TestSetStays(t *testing.T) {
	f := downloadtest.NewFake(downloadtest.Succeed)
	f.Set(one, download.Progress{State: download.StateStalled})
	for _, path := range []string{"a", "b"} {
		if err := f.Ensure(t.Context(), one, request(path)); err != nil {
			t.Fatal(err)
		}
		if p, err := f.Observe(t.Context(), one); err != nil || p.State != download.StateStalled {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if r, _ := f.Request(one); r.Volume.Path != "b" {
		t.Errorf("the last word is %+v", r)
	}
}

func TestCallsAndRequestsAreRecorded(t *testing.T) {
	f := downloadtest.NewFake(downloadtest.Pending)
	if _, ok := f.Request(one); ok {
		t.Error("a request before Ensure")
	}
	if err := f.Ensure(t.Context(), one, request("a")); err != nil {
		t.Fatal(err)
	}
	if r, ok := f.Request(one); !ok || r.Volume.Path != "a" {
		t.Errorf("request %+v, %v", r, ok)
	}
	if err := f.Stop(t.Context(), one, request("a"), download.Erase); err != nil {
		t.Fatal(err)
	}
	calls := f.Calls()
	if len(calls) != 2 || calls[0].Method != "Ensure" || calls[1].Method != "Stop" || calls[1].Disposal != download.Erase || calls[1].ID != one {
		t.Errorf("calls %+v", calls)
	}
}

func TestFailUntilTold(t *testing.T) {
	f := downloadtest.NewFake(downloadtest.Succeed)
	full := errors.New("full")
	for method, call := range map[string]func() error{
		"Ensure":  func() error { return f.Ensure(t.Context(), one, request("a")) },
		"Observe": func() error { _, err := f.Observe(t.Context(), one); return err },
		"Stop":    func() error { return f.Stop(t.Context(), one, request("a"), download.Keep) },
	} {
		f.Fail(method, full)
		if err := call(); !errors.Is(err, full) {
			t.Errorf("%s: %v", method, err)
		}
		f.Fail(method, nil)
		if err := call(); err != nil && !errors.Is(err, download.ErrUnknown) {
			t.Errorf("%s afterwards: %v", method, err)
		}
	}
}

func TestForgetKeepsData(t *testing.T) {
	f := downloadtest.NewFake(downloadtest.Succeed)
	if err := f.Ensure(t.Context(), one, request("a")); err != nil {
		t.Fatal(err)
	}
	f.Forget()
	if _, err := f.Observe(t.Context(), one); !errors.Is(err, download.ErrUnknown) {
		t.Errorf("observed after Forget: %v", err)
	}
	if there, intact := f.HasData("ml", request("a").Volume); !there || !intact {
		t.Errorf("data there %v, intact %v", there, intact)
	}
}

func TestSetOutcome(t *testing.T) {
	f := downloadtest.NewFake(downloadtest.Pending)
	f.SetOutcome(downloadtest.Succeed)
	if err := f.Ensure(t.Context(), one, request("a")); err != nil {
		t.Fatal(err)
	}
	if p, err := f.Observe(t.Context(), one); err != nil || p.State != download.StateComplete {
		t.Errorf("%+v, %v", p, err)
	}
}

// Wake-ups that nobody reads are lost; they block nobody.
func TestChangesNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := downloadtest.NewFake(downloadtest.Pending)
		for range 5000 {
			f.Set(one, download.Progress{})
		}
		if len(f.Changes()) == 0 {
			t.Error("no wake-up left")
		}
	})
}
