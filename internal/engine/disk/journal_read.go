package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// records reads a journal record by record.
type records struct {
	r       *bufio.Reader
	end     int64  // Where the last good record ends.
	crc     uint32 // Its checksum.
	payload []byte // Of the last good record; overwritten by the next.
}

func newRecords(r io.Reader, end int64, crc uint32) *records {
	return &records{r: bufio.NewReaderSize(r, 64<<10), end: end, crc: crc}
}

// next returns the kind of the next record, or io.EOF at the first that is
// not there or not whole. limit bounds a payload.
func (r *records) next(limit int) (kind byte, err error) {
	frame := make([]byte, 5, recordFrame)
	if _, err := io.ReadFull(r.r, frame); err != nil {
		return 0, tornTail(err)
	}
	n := int(binary.BigEndian.Uint32(frame[1:]))
	if n > limit {
		return 0, io.EOF
	}
	r.payload = slices.Grow(r.payload[:0], n+4)[:n+4]
	if _, err := io.ReadFull(r.r, r.payload); err != nil {
		return 0, tornTail(err)
	}
	sum := binary.BigEndian.Uint32(r.payload[n:])
	r.payload = r.payload[:n]
	crc := crc32.Update(crc32.Update(r.crc, castagnoli, frame), castagnoli, r.payload)
	if crc != sum {
		return 0, io.EOF
	}
	r.end += int64(recordFrame + n)
	r.crc = crc
	return frame[0], nil
}

func tornTail(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// journalReader turns records into claims.
type journalReader struct {
	*claims
	info *metainfo.Info
	r    *records

	base    *bitfield.Bitfield // Pieces written before the first recWritten.
	pending []writtenAt        // What came after, in order, and is not durable yet.
}

// writtenAt is a recWritten and where it ends.
type writtenAt struct {
	piece uint32
	end   int64
}

func (j *journalReader) run() error {
	limit := 32 + (max(j.info.PieceCount(), blockCount(j.info.PieceLength), len(j.info.Files))+7)/8
	for {
		good := j.r.end
		kind, err := j.r.next(limit)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return readFault(err)
		}
		if !j.apply(kind, j.r.payload) {
			j.r.end = good
			return nil
		}
	}
}

// apply takes in one record and returns false if it makes no sense.
func (j *journalReader) apply(kind byte, p []byte) bool {
	switch kind {
	case recVerified, recSettled:
		b, err := bitfield.Parse(p, j.info.PieceCount())
		if err != nil {
			return false
		}
		if kind == recSettled {
			return j.settleAll(b)
		}
		j.written, j.base, j.durable = b, b.Clone(), bitfield.New(b.Len())
		return true
	case recDurable:
		if len(p) != 8 {
			return false
		}
		j.settle(int64(binary.BigEndian.Uint64(p)))
		return true
	case recCompleted:
		if len(p) != 8 {
			return false
		}
		j.completed = time.Unix(int64(binary.BigEndian.Uint64(p)), 0)
		return true
	case recFile:
		if len(p) != 20 || int64(binary.BigEndian.Uint32(p)) > int64(len(j.info.Files)) {
			return false
		}
		j.files[int(binary.BigEndian.Uint32(p))] = stamp{int64(binary.BigEndian.Uint64(p[4:])), int64(binary.BigEndian.Uint64(p[12:]))}
		return true
	}
	if kind == recPlaced || kind == recPlacing {
		return j.applyPlaces(kind, p)
	}
	return j.applyPiece(kind, p)
}

func (j *journalReader) applyPlaces(kind byte, p []byte) bool {
	b, err := bitfield.Parse(p, len(j.info.Files))
	if err != nil {
		return false
	}
	if kind == recPlaced {
		j.placed = b
	} else {
		j.placing = b
	}
	return true
}

// applyPiece takes in a record of a single piece.
func (j *journalReader) applyPiece(kind byte, p []byte) bool {
	if len(p) < 4 || int64(binary.BigEndian.Uint32(p)) >= int64(j.info.PieceCount()) {
		return false
	}
	piece := binary.BigEndian.Uint32(p)
	j.touch(piece)
	switch kind {
	case recWritten:
		j.written.Set(int(piece))
		delete(j.blocks, piece)
		j.pending = append(j.pending, writtenAt{piece, j.r.end})
	case recLost:
		j.written.Clear(int(piece))
		j.durable.Clear(int(piece))
		if j.base != nil {
			j.base.Clear(int(piece))
		}
		j.pending = slices.DeleteFunc(j.pending, func(w writtenAt) bool { return w.piece == piece })
	case recBlocks:
		b, err := bitfield.Parse(p[4:], blockCount(j.info.PieceSize(int(piece))))
		if err != nil {
			return false
		}
		if b.Count() == 0 {
			delete(j.blocks, piece)
		} else {
			j.blocks[piece] = b
		}
	default:
		return false
	}
	return true
}

// settleAll makes durable exactly b, all of which must have been written.
func (j *journalReader) settleAll(b *bitfield.Bitfield) bool {
	for p := range b.All() {
		if !j.written.Has(p) {
			return false
		}
	}
	j.durable = b
	return true
}

// settle makes durable what was written before an offset.
func (j *journalReader) settle(upTo int64) {
	if j.base != nil {
		for p := range j.base.All() {
			j.durable.Set(p)
		}
		j.base = nil
	}
	n := 0
	for n < len(j.pending) && j.pending[n].end <= upTo {
		j.durable.Set(int(j.pending[n].piece))
		n++
	}
	j.pending = j.pending[n:]
}

// touch forgets how the files of a piece looked: they have changed since.
func (j *journalReader) touch(piece uint32) {
	if len(j.files) == 0 {
		return
	}
	off := int64(piece) * j.info.PieceLength
	for span := range j.info.Spans(off, j.info.PieceSize(int(piece))) {
		delete(j.files, span.File)
	}
	delete(j.files, len(j.info.Files))
}

// blockCount returns how many blocks n bytes make.
func blockCount(n int64) int { return int((n + block.Size - 1) / block.Size) }
