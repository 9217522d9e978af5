package termui

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"time"
)

// Unknown is the duration of something that nobody can tell yet, such as the
// time left of a transfer that stands still. [Duration] shows it as "unknown".
const Unknown time.Duration = -1

// Bytes returns a number of bytes in IEC units with three digits at most and
// no space, as in 2.9GiB. Whole bytes have no fraction, and what is below 100
// of a larger unit has one. It rounds down, so that a part never looks like
// the whole.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-max(n, -math.MaxInt64))
	}
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	shift := (bits.Len64(uint64(n)) - 1) / 10 * 10
	whole, rest, unit := n>>shift, uint64(n)&(1<<shift-1), units[shift/10-1]
	if whole >= 100 {
		return fmt.Sprintf("%d%ciB", whole, unit)
	}
	return fmt.Sprintf("%d.%d%ciB", whole, rest*10>>shift, unit)
}

// Rate returns a number of bytes per second as [Bytes] does, as in 88.0MiB/s.
func Rate(bytesPerSecond int64) string { return Bytes(bytesPerSecond) + "/s" }

// Percent returns how many whole hundredths of total done is, rounded down:
// 100 only when done has reached total, and 100 for a total of nothing.
func Percent(done, total int64) int {
	switch {
	case done >= total:
		return 100
	case done <= 0:
		return 0
	}
	return min(99, int(float64(done)/float64(total)*100))
}

// Duration returns a length of time in its two largest units, as in 19s,
// 2m05s, 3h12m or 4d03h. Fractions of a second are rounded up, because they
// are mostly time that is left. Negative values, [Unknown] among them, are
// "unknown".
func Duration(d time.Duration) string {
	if d < 0 {
		return "unknown"
	}
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	case s < 1000*24*3600:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
	return "over 1000d"
}

// ETA returns how long left bytes take at a rate, or [Unknown] when nothing
// moves or it would take longer than anybody can plan for.
func ETA(left, bytesPerSecond int64) time.Duration {
	if left <= 0 {
		return 0
	}
	if bytesPerSecond <= 0 || left/bytesPerSecond > 10*365*86400 {
		return Unknown
	}
	return time.Duration(float64(left) / float64(bytesPerSecond) * float64(time.Second))
}
