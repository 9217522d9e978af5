package termui

import (
	"math/bits"
	"strings"
)

// Cell is one cell of a strip: how many pieces it stands for, and how many of
// them are there or being fetched.
type Cell struct {
	Total, Have, Busy int
}

// Fold spreads the pieces 0 to n-1 over w cells. have and busy are bitfields
// in the bit order of BEP 3 (nil is none, and bits beyond their ends are not
// set): the pieces that are verified, and those being fetched. With fewer
// pieces than cells a piece covers several cells; otherwise a piece on the
// border of two cells belongs to both, so that neither claims to be complete
// without it.
func Fold(n int, have, busy []byte, w int) []Cell {
	if w <= 0 || n <= 0 {
		return nil
	}
	cells := make([]Cell, w)
	for i := range cells {
		from := int(int64(i) * int64(n) / int64(w))
		to := int((int64(i+1)*int64(n) + int64(w) - 1) / int64(w))
		cells[i] = Cell{Total: to - from, Have: count(have, from, to), Busy: count(busy, from, to)}
	}
	return cells
}

// count returns how many bits from from up to, not including, to are set.
func count(b []byte, from, to int) int {
	to = min(to, len(b)*8)
	n := 0
	for from < to {
		if from%8 == 0 && to-from >= 8 {
			n += bits.OnesCount8(b[from/8])
			from += 8
			continue
		}
		if b[from/8]&(0x80>>(from%8)) != 0 {
			n++
		}
		from++
	}
	return n
}

// The glyphs of a strip: a part that is there rises from the bottom.
var (
	blocks    = []rune("▁▂▃▄▅▆▇")
	asciiPart = []rune(":=")
)

// Strip draws cells, one column each: complete, partly there (the higher, the
// more), only being fetched, or missing. "█" (ASCII "#") is only ever drawn
// for a cell all of whose pieces are there, and "·" (".") only for one of
// which nothing is there or on its way.
func Strip(style Style, cells []Cell) string {
	var out, run strings.Builder
	color := ""
	for _, c := range cells {
		glyph, col := look(style, c)
		if col != color {
			out.WriteString(style.paint(color, run.String()))
			run.Reset()
			color = col
		}
		run.WriteRune(glyph)
	}
	out.WriteString(style.paint(color, run.String()))
	return out.String()
}

// look returns the glyph and colour of a cell.
func look(style Style, c Cell) (rune, string) {
	full, part, busy, none := '█', blocks, '░', '·'
	if style.ASCII {
		full, part, busy, none = '#', asciiPart, '-', '.'
	}
	switch {
	case c.Total > 0 && c.Have >= c.Total:
		return full, green
	case c.Have > 0:
		return part[c.Have*len(part)/c.Total], yellow
	case c.Busy > 0:
		return busy, yellow
	}
	return none, dim
}
