package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// size is a flag's value in bytes, written as 10MiB, 1.5GB or 4096.
type size int64

// Set reads what a person wrote.
func (s *size) Set(text string) error {
	number := strings.TrimRight(text, "BKMGTkibps/")
	factor, ok := units[strings.TrimSuffix(text[len(number):], "/s")]
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f >= 0) || f*factor >= math.MaxInt64 {
		return fmt.Errorf("%q is no size: write it as 512KiB, 10MiB or 1.5GiB", text)
	}
	*s = size(f * factor)
	return nil
}

// String returns the size as a person would write it; nothing is "".
func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return termui.Bytes(int64(*s))
}

// Type names the kind of value in help.
func (s *size) Type() string { return "size" }

// units are the factors of sizes: KiB and Ki are 1024, kB is 1000 bytes.
var units = map[string]float64{
	"": 1, "B": 1,
	"Ki": 1 << 10, "KiB": 1 << 10, "kB": 1e3,
	"Mi": 1 << 20, "MiB": 1 << 20, "MB": 1e6,
	"Gi": 1 << 30, "GiB": 1 << 30, "GB": 1e9,
	"Ti": 1 << 40, "TiB": 1 << 40, "TB": 1e12,
}
