package light

import (
	"encoding/binary"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

const (
	inboxSize = 64 << 10 // Bytes read at once: almost four thousand requests.
	keepable  = 64       // Bytes of the longest message that somebody who serves looks at, and more.
)

// inbox takes messages apart that arrive many at a time. It is for those who
// serve: the longer messages are passed over.
type inbox struct {
	buf     [inboxSize]byte
	arrived []byte // Of buf: what was read and not yet taken.
	skip    int    // Bytes still to come of a message that is passed over.
}

// fill reads what has arrived, and waits for it unless flags say otherwise.
func (in *inbox) fill(s *socket, flags int) error {
	kept := copy(in.buf[:], in.arrived)
	n, err := s.recv(in.buf[kept:], flags)
	in.arrived = in.buf[:kept+n]
	return err
}

// next returns the next message that has arrived whole; false if there is none.
func (in *inbox) next() (wire.Message, bool, error) {
	for {
		n := min(in.skip, len(in.arrived))
		in.arrived, in.skip = in.arrived[n:], in.skip-n
		if len(in.arrived) < wire.LengthLen {
			return wire.Message{}, false, nil
		}
		whole := wire.LengthLen + int(binary.BigEndian.Uint32(in.arrived))
		if whole < wire.HeaderLen || whole > keepable {
			in.skip = whole
			continue
		}
		if len(in.arrived) < whole {
			return wire.Message{}, false, nil
		}
		id, body := wire.ID(in.arrived[wire.LengthLen]), in.arrived[wire.HeaderLen:whole]
		in.arrived = in.arrived[whole:]
		if id == wire.Piece || !wire.Known(id) {
			continue
		}
		m, err := wire.Parse(id, body)
		return m, err == nil, err
	}
}
