package light

import (
	"cmp"
	"fmt"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// downloadInbox is how many bytes are read at once. They are copied into
// cache, which costs less than to take the messages out of the socket one by
// one and let the kernel throw the blocks away (MSG_TRUNC).
const downloadInbox = 256 << 10

// state is where a block is.
type state byte

const (
	missing state = iota
	asked
	arrived
)

// download fetches all of a torrent from one peer, and forgets it.
type download struct {
	*torrent
	began    func() // Called at each block: cheap if it does nothing the next time.
	pipeline int
	pieces   map[uint32]*piece  // Those that have begun to arrive. Nil if they are not to be verified.
	check    *metainfo.Verifier // Nil, likewise.

	states []state // Of all blocks.
	left   int     // Blocks that have not arrived.
	bytes  int64   // That have.
	wrong  error   // A piece did not match its hash.

	// Of one connection:
	socket  *socket
	fast    bool
	choked  bool
	has     *bitfield.Bitfield // What the peer has.
	pending int                // Blocks that are asked for.
	next    int                // All before it are asked for, or can't be now.
	in      inbox
	out     []byte
}

// piece is one that arrives.
type piece struct {
	bytes []byte
	left  int64
}

func newDownload(t *torrent, pipeline int, verify bool) *download {
	d := &download{torrent: t, pipeline: pipeline, states: make([]state, t.blocks), left: t.blocks}
	if verify {
		d.pieces, d.check = map[uint32]*piece{}, t.info.NewVerifier()
	}
	return d
}

// session goes on with the download over a new connection. It returns nil when
// everything is there.
func (d *download) session(s *socket, fast bool) error {
	d.socket, d.in, d.fast, d.choked = s, newInbox(s, downloadInbox), fast, true
	d.has = bitfield.New(d.info.PieceCount())
	d.forget()
	hello := []byte(nil)
	if fast {
		hello = wire.Append(hello, wire.Message{ID: wire.HaveNone}) // BEP 6: one of three is a must.
	}
	if err := s.write(wire.Append(hello, wire.Message{ID: wire.Interested}), false); err != nil {
		return err
	}
	for d.left > 0 {
		if err := d.in.fill(0); err != nil {
			return err
		}
		for d.left > 0 {
			m, ok, err := d.in.next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := d.handle(m); err != nil {
				return err
			}
		}
		// A quarter of the pipeline at a time, in one call.
		if !d.choked && d.pending <= d.pipeline*3/4 {
			if err := d.ask(); err != nil {
				return err
			}
		}
	}
	// A connection that ends before its last byte was read is torn down under
	// the one who sends it.
	return cmp.Or(d.wrong, d.in.drain())
}

// forget makes everything missing that was asked for.
func (d *download) forget() {
	for b, s := range d.states {
		if s == asked {
			d.states[b] = missing
		}
	}
	d.pending, d.next = 0, 0
}

// ask asks for the next blocks that the peer has.
func (d *download) ask() error {
	d.out = d.out[:0]
	for d.pending < d.pipeline && d.next < d.blocks {
		if piece := d.next / d.perPiece; !d.has.Has(piece) {
			d.next = (piece + 1) * d.perPiece
			continue
		}
		if d.states[d.next] == missing {
			d.states[d.next] = asked
			d.pending++
			d.out = wire.Append(d.out, d.request(d.next))
		}
		d.next++
	}
	d.next = min(d.next, d.blocks)
	return d.socket.write(d.out, false)
}

// block takes the block of a piece message.
func (d *download) block(m wire.Message) error {
	b, ok := d.torrent.block(m)
	if !ok {
		return fmt.Errorf("a block of %d bytes from %d on of piece %d, which nobody asked for", m.Length, m.Begin, m.Index)
	}
	d.began()
	was := d.states[b]
	if was != arrived && d.check != nil {
		if err := d.keep(m); err != nil {
			return err
		}
	}
	if was == asked {
		d.pending--
	}
	if was != arrived {
		d.states[b] = arrived
		d.left--
		d.bytes += int64(m.Length)
	}
	return nil
}

// keep reads a block into its piece, and checks that when it is whole.
func (d *download) keep(m wire.Message) error {
	p := d.pieces[m.Index]
	if p == nil {
		size := d.info.PieceSize(int(m.Index))
		p = &piece{bytes: make([]byte, size), left: size}
		d.pieces[m.Index] = p
	}
	if err := d.in.block(p.bytes[m.Begin:][:m.Length]); err != nil {
		return err
	}
	if p.left -= int64(m.Length); p.left > 0 {
		return nil
	}
	delete(d.pieces, m.Index)
	d.check.Reset(int(m.Index))
	d.check.Write(p.bytes)
	if !d.check.OK() {
		d.wrong = fmt.Errorf("piece %d does not match its hash: the peer sent other bytes than those of the torrent", m.Index)
	}
	return d.wrong
}

// handle acts on a message.
func (d *download) handle(m wire.Message) (err error) {
	switch m.ID {
	case wire.Piece:
		return d.block(m)
	case wire.Choke:
		d.choked = true
		if !d.fast {
			d.forget() // With BEP 6 each request is refused by name.
		}
	case wire.Unchoke:
		d.choked = false
	case wire.HaveAll:
		d.has.SetAll()
		d.next = 0
	case wire.Bitfield:
		if d.has, err = bitfield.Parse(m.Payload, d.info.PieceCount()); err != nil {
			return err
		}
		d.next = 0
	case wire.Have:
		if int(m.Index) >= d.info.PieceCount() {
			return fmt.Errorf("it has piece %d of %d", m.Index, d.info.PieceCount())
		}
		if d.has.Set(int(m.Index)) {
			d.next = min(d.next, int(m.Index)*d.perPiece)
		}
	case wire.Reject:
		if b, ok := d.torrent.block(m); ok && d.states[b] == asked {
			d.states[b] = missing
			d.pending--
			d.next = min(d.next, b)
		}
	}
	return nil
}
