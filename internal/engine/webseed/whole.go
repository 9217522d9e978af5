package webseed

import (
	"errors"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// readWhole reads the files of a server that knows no ranges, from the first byte
// on that is wanted and in their order, each of them once and only if something
// of it is wanted. It always returns an error that says why it ended.
func (c *Conn) readWhole() error {
	b := &body{c: c, end: c.seed.info.Length, whole: true}
	defer b.close()
	d := delivery{c: c}
	defer d.flush()
	for piece := range c.seed.info.PieceCount() {
		if !c.sink.Wants(piece) || c.seed.lacksPiece(piece) {
			continue
		}
		err := c.readPiece(b, piece, &d)
		var e *Error
		if errors.As(err, &e) && e.kind == missing {
			c.seed.lose(e)
		} else if err != nil {
			return err
		}
	}
	return &Error{
		text: c.seed.host + " knows no ranges: its files were read from the start to the end, and will be read again if something is missing",
		kind: passed, least: passWait,
	}
}

// readPiece reads a piece that lies behind what was read.
func (c *Conn) readPiece(b *body, piece int, d *delivery) error {
	if err := b.skip(int64(piece)*c.seed.info.PieceLength - b.at); err != nil {
		return err
	}
	size := c.seed.info.PieceSize(piece)
	for begin := int64(0); begin < size; begin += block.Size {
		m := wire.Message{Index: uint32(piece), Begin: uint32(begin), Length: uint32(min(block.Size, size-begin))}
		if err := c.receive(b, m, d); err != nil {
			return err
		}
	}
	return nil
}
