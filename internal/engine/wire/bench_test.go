package wire

import "testing"

// messages are those that a busy connection carries most.
var messages = map[string]Message{
	"have":    {ID: Have, Index: 12345},
	"request": {ID: Request, Index: 12345, Begin: 1 << 18, Length: 16 << 10},
	"choke":   {ID: Choke},
}

func BenchmarkAppend(b *testing.B) {
	for name, m := range messages {
		b.Run("message="+name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], m)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, m := range messages {
		body := Append(nil, m)[HeaderLen:]
		b.Run("message="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(m.ID, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePiece(b *testing.B) {
	head := Append(nil, Message{ID: Piece, Index: 12345, Begin: 1 << 18, Length: 16 << 10})[HeaderLen:]
	b.ReportAllocs()
	for b.Loop() {
		if m := ParsePiece(head, 8+16<<10); m.Index != 12345 {
			b.Fatal(m)
		}
	}
}
