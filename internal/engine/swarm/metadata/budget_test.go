package metadata

import (
	"crypto/sha1"
	"testing"
	"time"
)

func TestABudgetIsTakenToItsLastByte(t *testing.T) {
	b := NewBudget(2*MaxSmall, MaxSize)
	s := b.Share()
	for _, c := range []struct {
		size int64
		ok   bool
	}{
		{MaxSize + 1, false}, {MaxSize, true}, {MaxSmall + 1, false},
		{MaxSmall, true}, {MaxSmall - 1, true}, {2, false}, {1, true}, {1, false},
	} {
		if ok := s.Take(c.size); ok != c.ok {
			t.Errorf("a copy of %d bytes: %v", c.size, ok)
		}
	}
	other := b.Share()
	if other.Take(1) {
		t.Error("another share has room of its own")
	}
	s.Close()
	if !other.Take(MaxSize) || !other.Take(MaxSmall) {
		t.Error("what was given back can't be taken")
	}
}

func TestRoomGoesToWhoHasLeastAndThenToWhoWaitsLongest(t *testing.T) {
	b := NewBudget(4, MaxSize)
	rich, first, second := b.Share(), b.Share(), b.Share()
	if !rich.Take(3) || !rich.Take(1) || rich.Take(2) {
		t.Fatal("room for four bytes is not four")
	}
	if rich.Wanted(Small) {
		t.Error("who waits for more itself is told to make room")
	}
	if first.Take(1) || second.Take(1) {
		t.Fatal("there is more than all")
	}
	if !rich.Wanted(Small) || rich.Wanted(Large) || first.Wanted(Small) {
		t.Error("who has most is not told that others wait, or others are")
	}
	rich.Give(2)
	if rich.Take(1) || second.Take(1) || !first.Take(1) {
		t.Error("it was not the turn of who waits longest and has nothing")
	}
	first.Give(1)
	if rich.Take(2) {
		t.Error("who has more came first")
	}
	second.Leave(Small)
	if !rich.Take(2) {
		t.Error("who waits no more is waited for")
	}
}

// pair is two fetches that share a budget, each with a peer of its own.
func pair(size [2]int64, b *Budget) [2]*Fetch {
	var f [2]*Fetch
	for i := range f {
		f[i] = New([20]byte{1}, b.Share())
		f[i].Offer(1, host(1), size[i])
	}
	return f
}

func TestAFetchThatGetsNoRoomWaitsForIt(t *testing.T) {
	for name, end := range map[string]func(f *Fetch, truth []byte) Steps{
		"until the other is done": func(f *Fetch, truth []byte) Steps {
			f.Data(1, 0, truth)
			return f.Step(time.Second)
		},
		"until the other has nobody to ask": func(f *Fetch, _ []byte) Steps { f.Leave(1); return f.Step(10 * soloTime) },
		"until the other is overdue":        func(f *Fetch, _ []byte) Steps { return f.Step(soloTime + 1) },
		"until the other is stopped":        func(f *Fetch, _ []byte) Steps { f.room.(*Share).Close(); return Steps{} },
	} {
		truth := make([]byte, 100)
		b := NewBudget(100, MaxSize)
		f := pair([2]int64{100, 100}, b)
		f[0].hash = sha1.Sum(truth)
		if len(f[0].Step(0).Ask) != 1 {
			t.Fatal("the first has no room")
		}
		if s := f[1].Step(0); len(s.Ask) > 0 {
			t.Fatal("both have the room of one")
		}
		f[0].Step(soloTime)
		if s := f[1].Step(soloTime); len(s.Ask) > 0 {
			t.Fatalf("%s: it got room before", name)
		}
		end(f[0], truth)
		if s := f[1].Step(soloTime + 2); len(s.Ask) != 1 {
			t.Errorf("%s: it never gets room", name)
		}
	}
}

func TestASlowCopyIsKeptWhileNobodyWaitsForItsRoom(t *testing.T) {
	f := pair([2]int64{100, 100}, NewBudget(100, MaxSize))
	f[0].Step(0)
	c := f[0].all[0]
	f[0].Step(time.Hour)
	if len(f[0].all) != 1 || f[0].all[0] != c {
		t.Error("it was given up for nobody")
	}
	f[1].Step(time.Hour)
	f[1].Leave(1)
	f[1].Step(time.Hour)
	f[0].Step(2 * time.Hour)
	if len(f[0].all) != 1 || f[0].all[0] != c {
		t.Error("it was given up for one who waits no more")
	}
}

// Who offers large metadata to one torrent does not keep another torrent from
// its small metadata.
func TestSmallMetadataDoesNotWaitForLarge(t *testing.T) {
	f := pair([2]int64{MaxSize, MaxSmall}, NewBudget(MaxSmall, MaxSize))
	if len(f[0].Step(0).Ask) == 0 || len(f[1].Step(0).Ask) == 0 {
		t.Error("one of them waits")
	}
}

// Of several copies that a fetch makes all but the first go as early as any
// does, however often their peers were too slow before.
func TestAFetchKeepsNoMoreThanOneSlowCopyFromOthers(t *testing.T) {
	b := NewBudget(200, MaxSize)
	f := pair([2]int64{100, 99}, b)
	f[0].Offer(2, host(2), 98)
	for _, p := range f[0].peers {
		p.turns = maxTurns
	}
	f[0].Step(0)
	if len(f[0].all) != 2 || len(f[1].Step(0).Ask) > 0 {
		t.Fatal("the first does not have all of the room")
	}
	f[0].Step(soloTime + 1)
	if s := f[1].Step(soloTime + 1); len(s.Ask) == 0 || len(f[0].all) != 1 {
		t.Errorf("the first still makes %d copies", len(f[0].all))
	}
}
