package light

import (
	"encoding/binary"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// inbox takes messages apart that arrive many at a time. Messages that are
// longer than it are passed over.
type inbox struct {
	socket  *socket
	buf     []byte
	arrived []byte // Of buf: what was read and not yet taken.
	skip    int    // Bytes still to be passed over.
}

func newInbox(s *socket, size int) inbox { return inbox{socket: s, buf: make([]byte, size)} }

// fill reads what has arrived, and waits for it unless flags say otherwise.
func (in *inbox) fill(flags int) error {
	kept := copy(in.buf, in.arrived)
	n, err := in.socket.recv(in.buf[kept:], flags)
	in.arrived = in.buf[:kept+n]
	return err
}

// next returns the next message that has arrived, whole or, of a piece
// message, all but the block; false if there is none. The block comes with
// [inbox.block], or is passed over.
func (in *inbox) next() (wire.Message, bool, error) {
	for {
		n := min(in.skip, len(in.arrived))
		in.arrived, in.skip = in.arrived[n:], in.skip-n
		if len(in.arrived) < wire.LengthLen {
			return wire.Message{}, false, nil
		}
		length := int(binary.BigEndian.Uint32(in.arrived))
		whole := wire.LengthLen + length
		switch {
		case length == 0 || whole > len(in.buf):
			in.skip = whole
			continue
		case len(in.arrived) < wire.HeaderLen:
			return wire.Message{}, false, nil
		}
		id := wire.ID(in.arrived[wire.LengthLen])
		if id == wire.Piece && length > 1+8 {
			if len(in.arrived) < wire.PieceHeaderLen {
				return wire.Message{}, false, nil
			}
			m := wire.ParsePiece(in.arrived[wire.HeaderLen:], uint32(length-1))
			in.arrived, in.skip = in.arrived[wire.PieceHeaderLen:], int(m.Length)
			return m, true, nil
		}
		if len(in.arrived) < whole {
			return wire.Message{}, false, nil
		}
		body := in.arrived[wire.HeaderLen:whole]
		in.arrived = in.arrived[whole:]
		if wire.Known(id) {
			m, err := wire.Parse(id, body)
			return m, err == nil, err
		}
	}
}

// drain waits for the rest of the block of the piece message that came last,
// and passes it over.
func (in *inbox) drain() error {
	for in.skip > len(in.arrived) {
		in.skip -= len(in.arrived)
		in.arrived = nil
		if err := in.fill(0); err != nil {
			return err
		}
	}
	return nil
}

// block fills b with the block of the piece message that came last.
func (in *inbox) block(b []byte) error {
	n := copy(b, in.arrived)
	in.arrived, in.skip = in.arrived[n:], 0
	return in.socket.read(b[n:])
}
