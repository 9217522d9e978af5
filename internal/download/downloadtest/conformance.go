package downloadtest

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// patience is how long the suite waits for something that must happen. It is
// no measure of speed.
const patience = time.Minute

// Subject is an executor and what the suite has to know of its surroundings.
type Subject struct {
	Executor download.Executor

	// Request returns a request that completes if nothing disturbs it. Equal
	// names give equal requests; different names give different torrents at
	// different places of one volume.
	Request func(name string) download.Request

	// Data says whether there is anything of a download at its place, and
	// whether it is all there and right. It asks the volume, not the executor.
	Data func(id download.ID, r download.Request) (there, intact bool)

	// Some selects a part of what every Request asks for.
	Some download.Files

	// Damage spoils the complete data of a download behind the executor's
	// back.
	Damage func(id download.ID, r download.Request)

	// Obstruct makes a download that has not begun yet fail permanently,
	// until remove is called.
	Obstruct func(id download.ID, r download.Request) (remove func())
}

// Run checks that an executor keeps the contract of [download.Executor]. Each
// test gets a new subject; what it leaves running is for the factory to stop,
// by t.Cleanup.
func Run(t *testing.T, factory func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *suite)
	}{
		{"ADownloadCompletes", completes},
		{"AnUnknownDownloadIsErrUnknown", unknown},
		{"EnsureTwiceChangesNothing", idempotent},
		{"TheLastWordCounts", lastWord},
		{"ResolveOnlyTouchesNoVolume", resolveOnly},
		{"ASelectionIsAllThatCounts", selects},
		{"AnotherUIDIsAnotherDownload", otherUID},
		{"StopKeepsDataAndMayBeRepeated", stopKeeps},
		{"StopLeavesNothingRunning", stopWaits},
		{"EraseRemovesTheDownloadsOwnDataOnly", erases},
		{"EraseFindsTheDataOfAnUnknownDownload", erasesUnknown},
		{"APermanentFailureStaysUntilARetryIsAskedFor", permanentFailure},
		{"AVerifyTokenChecksTheDataAgain", verifies},
		{"WhatEarlierRunsDidIsCarriedOn", carriesOn},
		{"ChangesWakesTheReader", wakes},
		{"ManyMayCallAtOnce", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &suite{T: t, Subject: factory(t)}) })
	}
}

// suite is one test on its way.
type suite struct {
	*testing.T
	Subject
}

func id(name string) download.ID {
	return download.ID{Namespace: "conformance", Name: name, UID: "uid-of-" + name}
}

func (s *suite) ensure(id download.ID, r download.Request) {
	s.Helper()
	if err := s.Executor.Ensure(s.Context(), id, r); err != nil {
		s.Fatalf("Ensure %s: %v", id.Name, err)
	}
}

// stop stops a download, again and again while it is ending.
func (s *suite) stop(id download.ID, r download.Request, d download.Disposal) {
	s.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for {
		err := s.Executor.Stop(s.Context(), id, r, d)
		if err == nil {
			return
		}
		if !errors.Is(err, download.ErrEnding) {
			s.Fatalf("Stop %s: %v", id.Name, err)
		}
		select {
		case <-s.Executor.Changes():
		case <-look.C:
		case <-late:
			s.Fatalf("%s has not ended after %v: %v", id.Name, patience, err)
		}
	}
}

func (s *suite) observe(id download.ID) download.Progress {
	s.Helper()
	p, err := s.Executor.Observe(s.Context(), id)
	if err != nil {
		s.Fatalf("Observe %s: %v", id.Name, err)
	}
	return p
}

func (s *suite) mustBeUnknown(id download.ID) {
	s.Helper()
	if p, err := s.Executor.Observe(s.Context(), id); !errors.Is(err, download.ErrUnknown) {
		s.Errorf("Observe %s: %+v, %v; want ErrUnknown", id.Name, p, err)
	}
}

// await observes a download until it is as wanted. Wake-ups may be lost, so it
// looks from time to time as well.
func (s *suite) await(id download.ID, what string, wanted func(download.Progress) bool) download.Progress {
	s.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for {
		p := s.observe(id)
		if wanted(p) {
			return p
		}
		select {
		case <-s.Executor.Changes():
		case <-look.C:
		case <-late:
			s.Fatalf("%s was not %s after %v: %+v, failure %v", id.Name, what, patience, p, p.Err)
		}
	}
}

func (s *suite) awaitState(id download.ID, state download.State) download.Progress {
	s.Helper()
	return s.await(id, string(state), func(p download.Progress) bool { return p.State == state })
}

func completes(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	s.ensure(a, r)
	p := s.awaitState(a, download.StateComplete)
	have := 0
	for _, b := range p.Pieces.Have {
		have += bits.OnesCount8(b)
	}
	switch {
	case len(p.InfoHash) != 40 || p.Name == "" || p.BytesTotal == 0 || p.Pieces.Length == 0:
		t.Errorf("a complete download does not say what it is: %+v", p)
	case p.BytesVerified != p.BytesTotal || p.Pieces.Verified != p.Pieces.Total || have != p.Pieces.Total || p.Pieces.InProgress != 0:
		t.Errorf("a complete download does not have everything: %+v", p)
	case p.CompletedAt.IsZero() || p.At.IsZero() || p.Err != nil:
		t.Errorf("a complete download has a time of completion and no failure: %+v", p)
	}
	if there, intact := s.Data(a, r); !there || !intact {
		t.Errorf("complete, but the data is there %v, intact %v", there, intact)
	}
}

func unknown(_ *testing.T, s *suite) {
	a, b := id("a"), id("b")
	s.mustBeUnknown(a)
	s.ensure(a, s.Request("a"))
	s.observe(a)
	s.mustBeUnknown(b)
}

func idempotent(t *testing.T, s *suite) {
	a := id("a")
	s.ensure(a, s.Request("a"))
	s.ensure(a, s.Request("a"))
	before := s.awaitState(a, download.StateComplete)
	s.ensure(a, s.Request("a"))
	after := s.observe(a)
	if after.State != download.StateComplete || !after.CompletedAt.Equal(before.CompletedAt) || after.BytesDownloaded != before.BytesDownloaded {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}

func lastWord(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	s.ensure(a, r)
	r.Seeding = download.Seeding{Policy: download.SeedForever}
	s.ensure(a, r)
	s.awaitState(a, download.StateSeeding)
	r.Seeding = download.Seeding{}
	s.ensure(a, r)
	s.awaitState(a, download.StateComplete)
	r.Seeding = download.Seeding{Policy: download.SeedForever}
	s.ensure(a, r)
	p := s.awaitState(a, download.StateSeeding)
	if p.BytesVerified != p.BytesTotal {
		t.Errorf("seeding without everything: %+v", p)
	}
}

func resolveOnly(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	r.ResolveOnly = true
	s.ensure(a, r)
	p := s.await(a, "resolved", func(p download.Progress) bool { return p.InfoHash != "" })
	if p.Name == "" || p.BytesTotal == 0 || p.Pieces.Total == 0 || p.State == download.StateComplete {
		t.Errorf("resolved as %+v", p)
	}
	if there, _ := s.Data(a, r); there {
		t.Error("the volume was touched")
	}
	r.ResolveOnly = false
	s.ensure(a, r)
	s.awaitState(a, download.StateComplete)
}

func selects(t *testing.T, s *suite) {
	a, all := id("a"), s.Request("a")
	some := all
	some.Files = s.Some
	complete := func(r download.Request) download.Progress {
		s.ensure(a, r)
		return s.await(a, "complete", func(p download.Progress) bool {
			return p.State == download.StateComplete && p.Selection == r.Files.Selection()
		})
	}
	part := complete(some)
	if _, intact := s.Data(a, all); intact {
		t.Error("everything is there, though a part was selected")
	}
	whole := complete(all)
	if _, intact := s.Data(a, all); !intact {
		t.Error("more was selected, and is not there")
	}
	if part.BytesTotal >= whole.BytesTotal || part.Pieces.Total >= whole.Pieces.Total || len(part.Pieces.Have) != (part.Pieces.Total+7)/8 {
		t.Errorf("a part is %+v, the whole %+v", part, whole)
	}
	again := complete(some)
	if again.BytesTotal != part.BytesTotal || again.BytesVerified != part.BytesTotal || again.Pieces.Verified != part.Pieces.Total {
		t.Errorf("the part was %+v and is %+v", part, again)
	}
	if _, intact := s.Data(a, all); !intact {
		t.Error("what is not selected any more was removed")
	}
}

func otherUID(t *testing.T, s *suite) {
	first, second := id("a"), id("a")
	second.UID = "another"
	s.ensure(first, s.Request("a"))
	s.awaitState(first, download.StateComplete)
	s.mustBeUnknown(second)
	s.ensure(second, s.Request("b"))
	s.awaitState(second, download.StateComplete)
	s.stop(first, s.Request("a"), download.Keep)
	s.mustBeUnknown(first)
	if p := s.observe(second); p.State != download.StateComplete {
		t.Errorf("stopping one changed the other to %+v", p)
	}
}

func stopKeeps(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	s.stop(a, r, download.Keep)
	s.ensure(a, r)
	s.awaitState(a, download.StateComplete)
	s.stop(a, r, download.Keep)
	s.stop(a, r, download.Kept)
	s.mustBeUnknown(a)
	if there, intact := s.Data(a, r); !there || !intact {
		t.Errorf("after Stop with Keep the data is there %v, intact %v", there, intact)
	}
	s.ensure(a, r)
	s.awaitState(a, download.StateComplete)
}

// stopWaits stops downloads in the middle, wherever that is, and erases them:
// anything that still ran would leave data behind or bring it back.
func stopWaits(t *testing.T, s *suite) {
	const many = 8
	for i := range many {
		name := fmt.Sprint(i)
		s.ensure(id(name), s.Request(name))
	}
	for i := range many {
		name := fmt.Sprint(i)
		s.stop(id(name), s.Request(name), download.Erase)
	}
	last := id("last")
	s.ensure(last, s.Request("last"))
	s.awaitState(last, download.StateComplete)
	for i := range many {
		name := fmt.Sprint(i)
		s.mustBeUnknown(id(name))
		if there, _ := s.Data(id(name), s.Request(name)); there {
			t.Errorf("%s was erased and has data", name)
		}
	}
}

func erases(t *testing.T, s *suite) {
	a, b := id("a"), id("b")
	s.ensure(a, s.Request("a"))
	s.ensure(b, s.Request("b"))
	s.awaitState(a, download.StateComplete)
	s.awaitState(b, download.StateComplete)
	s.stop(a, s.Request("a"), download.Erase)
	s.stop(a, s.Request("a"), download.Erase)
	if there, _ := s.Data(a, s.Request("a")); there {
		t.Error("erased and still there")
	}
	if there, intact := s.Data(b, s.Request("b")); !there || !intact {
		t.Errorf("the other download's data is there %v, intact %v", there, intact)
	}
	if p := s.observe(b); p.State != download.StateComplete {
		t.Errorf("the other download is now %+v", p)
	}
}

func erasesUnknown(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	s.ensure(a, r)
	s.awaitState(a, download.StateComplete)
	s.stop(a, r, download.Keep)
	s.mustBeUnknown(a)
	s.stop(a, r, download.Erase)
	s.mustBeUnknown(a)
	if there, _ := s.Data(a, r); there {
		t.Error("erased and still there")
	}
}

func permanentFailure(t *testing.T, s *suite) {
	a, b, r := id("a"), id("b"), s.Request("a")
	remove := s.Obstruct(a, r)
	s.ensure(a, r)
	p := s.awaitState(a, download.StateFailed)
	if p.Err == nil || !p.Err.Permanent || p.Err.Reason == "" || p.Err.Message == "" {
		t.Fatalf("failed with %+v", p.Err)
	}
	remove()
	s.ensure(a, r)
	// Whatever Ensure may have begun by mistake has time to show itself while
	// another download runs from beginning to end.
	s.ensure(b, s.Request("b"))
	s.awaitState(b, download.StateComplete)
	if p := s.observe(a); p.State != download.StateFailed {
		t.Errorf("tried again without being asked: %+v", p)
	}
	r.RetryToken = "now"
	s.ensure(a, r)
	if p := s.awaitState(a, download.StateComplete); p.Err != nil {
		t.Errorf("complete, with failure %v", p.Err)
	}
}

func verifies(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	s.ensure(a, r)
	s.awaitState(a, download.StateComplete)
	s.Damage(a, r)
	if _, intact := s.Data(a, r); intact {
		t.Fatal("the data is not damaged: the suite's subject is wrong")
	}
	r.VerifyToken = "now"
	s.ensure(a, r)
	s.await(a, "complete and intact", func(p download.Progress) bool {
		_, intact := s.Data(a, r)
		return intact && p.State == download.StateComplete
	})
}

func carriesOn(t *testing.T, s *suite) {
	a, r := id("a"), s.Request("a")
	r.BytesUploaded = 1 << 40
	s.ensure(a, r)
	first := s.awaitState(a, download.StateComplete)
	if first.BytesUploaded < r.BytesUploaded {
		t.Errorf("%d bytes uploaded, of which earlier runs %d", first.BytesUploaded, r.BytesUploaded)
	}
	s.stop(a, r, download.Keep)
	r.CompletedAt = first.CompletedAt.Add(-time.Hour)
	s.ensure(a, r)
	if p := s.awaitState(a, download.StateComplete); !p.CompletedAt.Equal(r.CompletedAt) {
		t.Errorf("completed at %v, and in an earlier run at %v", p.CompletedAt, r.CompletedAt)
	}
}

func wakes(t *testing.T, s *suite) {
	a, b := id("a"), id("b")
	s.ensure(a, s.Request("a"))
	s.ensure(b, s.Request("b"))
	missing := map[download.ID]bool{a: true, b: true}
	late := time.After(patience)
	for len(missing) > 0 {
		select {
		case woken := <-s.Executor.Changes():
			delete(missing, woken)
		case <-late:
			t.Fatalf("never woken for %v", missing)
		}
	}
}

// concurrent has many goroutines call everything for the same few downloads.
// Under the race detector that is a test of its own; the last word counts here
// too.
func concurrent(_ *testing.T, s *suite) {
	names := []string{"a", "b", "c"}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for round := range 10 {
				name := names[(worker+round)%len(names)]
				r := s.Request(name)
				r.Limits.MaxPeers = 10 + worker
				if err := s.Executor.Ensure(s.Context(), id(name), r); err != nil {
					s.Errorf("Ensure %s: %v", name, err)
				}
				if _, err := s.Executor.Observe(s.Context(), id(name)); err != nil && !errors.Is(err, download.ErrUnknown) {
					s.Errorf("Observe %s: %v", name, err)
				}
				if round%4 == worker%4 {
					if err := s.Executor.Stop(s.Context(), id(name), r, download.Keep); err != nil && !errors.Is(err, download.ErrEnding) {
						s.Errorf("Stop %s: %v", name, err)
					}
				}
			}
		})
	}
	all.Wait()
	for _, name := range names {
		s.ensure(id(name), s.Request(name))
	}
	for _, name := range names {
		s.awaitState(id(name), download.StateComplete)
	}
}
