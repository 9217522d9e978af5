package limiter

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestASliceIsWhatTheSlowestLimiterGivesSoon(t *testing.T) {
	for _, c := range []struct {
		limits     []int64
		want, here int
	}{
		{nil, 16 << 10, 16 << 10},
		{[]int64{0, 0}, 16 << 10, 16 << 10},
		{[]int64{0, 64 << 10}, 16 << 10, 4 << 10},
		{[]int64{1 << 20, 64 << 10}, 16 << 10, 4 << 10},
		{[]int64{1 << 20}, 16 << 10, 16 << 10},
		{[]int64{1}, 16 << 10, minSlice},
		{[]int64{1}, 100, 100},
		{[]int64{1 << 20}, 1 << 20, 64 << 10},
	} {
		var all All
		for _, l := range c.limits {
			all = append(all, New(l))
		}
		if got := all.Slice(c.want); got != c.here {
			t.Errorf("limits %v: of %d bytes %d at once, want %d", c.limits, c.want, got, c.here)
		}
	}
}

func TestAllLimitersHaveToAgree(t *testing.T) {
	now := time.Unix(0, 0)
	slow, fast := New(16<<10), New(1<<20)
	all := All{New(0), fast, slow}
	if all.None() || !(All{New(0), New(-1)}).None() {
		t.Error("what is limited is not known")
	}
	if d := all.Reserve(now, 16<<10); d != 0 {
		t.Errorf("a full bucket gives its bytes after %v", d)
	}
	if d := all.Reserve(now, 16<<10); d != time.Second {
		t.Errorf("the slowest gives 16 KiB after %v", d)
	}
	Set(slow, 0)
	if all.None() || slow.Limit() != rate.Inf {
		t.Error("a limit can't be taken away")
	}
	Set(fast, 0)
	if !all.None() {
		t.Error("a limit can't be taken away")
	}
}
