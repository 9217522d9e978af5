package main

import (
	"fmt"
	"strings"
)

// faster compares our rate with the fastest rival's.
func faster(by float64) bar {
	return bar{
		text: fmt.Sprintf("MB/s, at least %.1f × the fastest rival", by),
		value: func(r round) (float64, bool) {
			most := 0.0
			for _, x := range r.rivals() {
				most = max(most, x.rate())
			}
			return r[ours].rate() / most, most > 0 && r[ours].bytes > 0
		},
		met: atLeast(by),
	}
}

var (
	thriftier = bar{text: "CPU seconds, at most 0.9 × the thriftiest rival", value: ofThriftiest, met: atMost(0.9)}
	sparing   = bar{text: "CPU seconds, at most 0.7 × the thriftiest rival", value: ofThriftiest, met: atMost(0.7)}
	nearFloor = bar{
		text: "CPU seconds, at most 1.3 × the floor",
		value: func(r round) (float64, bool) {
			return r[ours].cpu() / r[floor].cpu(), r[ours].bytes > 0 && r[floor].bytes > 0
		},
		met: atMost(1.3),
	}
	lean = bar{
		text: "peak anonymous memory in MiB, at most 100",
		value: func(r round) (float64, bool) {
			most := int64(0)
			for who, x := range r {
				if strings.HasPrefix(who, ours) {
					most = max(most, x.Anonymous)
				}
			}
			return float64(most) / (1 << 20), most > 0
		},
		met: atMost(100),
	}
)

// ofThriftiest compares our CPU time with that of the rival that takes least.
func ofThriftiest(r round) (float64, bool) {
	least := 0.0
	for _, x := range r.rivals() {
		if least == 0 || x.cpu() < least {
			least = x.cpu()
		}
	}
	return r[ours].cpu() / least, least > 0 && r[ours].bytes > 0
}

// share compares one's rate with that of another.
func share(who, of string, least float64) bar {
	return bar{
		text: fmt.Sprintf("MB/s of “%s”, at least %.2f × that of “%s”", who, least, of),
		value: func(r round) (float64, bool) {
			return r[who].rate() / r[of].rate(), r[who].bytes > 0 && r[of].bytes > 0
		},
		met: atLeast(least),
	}
}

// alike compares one's memory with that of another.
func alike(who, of string) bar {
	return bar{
		text: fmt.Sprintf("peak anonymous memory of “%s”, at most 1.10 × that of “%s”", who, of),
		value: func(r round) (float64, bool) {
			return float64(r[who].Anonymous) / float64(r[of].Anonymous), r[who].bytes > 0 && r[of].bytes > 0
		},
		met: atMost(1.1),
	}
}
