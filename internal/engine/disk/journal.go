package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// The resume journal is a file of records, appended to as things happen and
// now and then replaced by a short one that says the same. All integers are
// big-endian.
//
//	file    header record*
//	header  "TORJ" version(1) infohash(20) pieces(4) crc(4)
//	record  kind(1) length(4) payload crc(4)
//
// Each checksum (CRC-32C) goes on from the one before it, so a record counts
// only after everything before it, and leftovers behind a failed append never
// look like records. What follows the first record that does not check is
// ignored: it is the tail that a crash has torn.
const (
	journalMagic   = "TORJ"
	journalVersion = 1
	headerSize     = 4 + 1 + 20 + 4 + 4
	recordFrame    = 1 + 4 + 4
)

// The kinds of records and their payloads.
const (
	recVerified  = 'V' // bitfield: pieces verified and written.
	recSettled   = 'D' // bitfield: of those, pieces that are durable.
	recWritten   = 'w' // piece(4): verified and written.
	recDurable   = 'd' // offset(8): what records before that offset say to be written is durable.
	recLost      = 'l' // piece(4): not there after all.
	recBlocks    = 'b' // piece(4) bitfield: all blocks of an unverified piece that are in place.
	recFile      = 'f' // file(4) size(8) mtime(8): the file when the torrent was closed; the number of files is the parts file.
	recCompleted = 'c' // unix seconds(8): when all pieces that were wanted were durable.
	recPlaced    = 'p' // bitfield of files: those whose bytes are under their own names; without it, all.
	recPlacing   = 'q' // bitfield of files: those that are about to be placed.
)

// compactAt is how many bytes are appended at least before the journal is
// replaced by a shorter one.
const compactAt = 256 << 10

// ErrNewerJournal says that the resume state was written by a later version of
// this program, so it can't be told what is safe to do.
var ErrNewerJournal = errors.New("the resume state was written by a newer version; use that version, or remove the folder .torrent-operator to have the data checked")

// errDamaged says that the journal's header can't be read.
var errDamaged = errors.New("the resume journal is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp is how a file looked when the torrent was closed.
type stamp struct {
	size, mtime int64 // Bytes; nanoseconds since 1970.
}

// claims is what a journal says.
type claims struct {
	written   *bitfield.Bitfield // Pieces verified and written.
	durable   *bitfield.Bitfield // Of those, pieces that were synced.
	blocks    map[uint32]*bitfield.Bitfield
	files     map[int]stamp
	completed time.Time
	placed    *bitfield.Bitfield // Files whose bytes are under their own names.
	placing   *bitfield.Bitfield // Files that are about to be placed.
}

func newClaims(info *metainfo.Info) *claims {
	pieces, files := info.PieceCount(), len(info.Files)
	return &claims{
		written: bitfield.New(pieces), durable: bitfield.New(pieces),
		blocks: map[uint32]*bitfield.Bitfield{}, files: map[int]stamp{},
		placed: bitfield.Full(files), placing: bitfield.New(files),
	}
}

// journal is a torrent's resume journal, open for appending. It does not lock.
type journal struct {
	fs     FS
	folder string
	hash   metainfo.Hash
	pieces int

	f    File
	end  int64  // Where the next record goes.
	crc  uint32 // Checksum of the last record.
	base int64  // How long the journal was when it was compact.

	readOnly bool // Nothing is ever written to it.

	stale   bool // It is to be replaced as soon as possible: something that it says is not so.
	changed bool // Something is not in it, or was appended since it was read or replaced.
}

// journalName is the name of the journal within the torrent's state.
const journalName = "/journal"

func (j *journal) name() string { return j.folder + journalName }

// append adds records. They survive the end of the process at once and a
// power cut after sync. If it fails nothing was added.
func (j *journal) append(records []byte) error {
	switch {
	case j.readOnly:
		return nil
	case j.f == nil:
		return ErrClosed
	}
	crc := seal(records, j.crc)
	if err := writeAll(j.f, [][]byte{records}, j.end); err != nil {
		return fault("write", j.name(), err)
	}
	j.end += int64(len(records))
	j.crc, j.changed = crc, true
	return nil
}

func (j *journal) sync() error {
	if j.readOnly {
		return nil
	}
	return fault("sync", j.name(), j.f.Sync())
}

// long says whether the journal has grown so much that it should be replaced.
func (j *journal) long() bool { return j.end-j.base > max(compactAt, j.base) }

// replace makes c all that the journal says, durably: at each instant the old
// or the new one stands on the volume, whole.
func (j *journal) replace(c *claims) error {
	if j.readOnly {
		j.stale, j.changed = false, false
		return nil
	}
	b := j.header()
	crc := binary.BigEndian.Uint32(b[headerSize-4:])
	records := c.records()
	crc = seal(records, crc)
	b = append(b, records...)

	temp := j.name() + ".new"
	f, err := j.fs.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fault("create", temp, err)
	}
	err = writeAll(f, [][]byte{b}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.Rename(temp, j.name())
	}
	if err != nil {
		f.Close()
		return fault("write", temp, err)
	}
	j.close()
	j.f, j.end, j.base, j.crc = f, int64(len(b)), int64(len(b)), crc
	j.stale, j.changed = false, false
	return syncFolder(j.fs, j.folder)
}

func (j *journal) close() {
	if j.f != nil {
		j.f.Close()
	}
	j.f = nil
}

func (j *journal) header() []byte {
	b := append(make([]byte, 0, headerSize), journalMagic...)
	b = append(b, journalVersion)
	b = append(b, j.hash[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(j.pieces))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// records returns c as records that are not sealed yet.
func (c *claims) records() []byte {
	b := record(nil, recVerified, c.written.Bytes())
	b = record(b, recSettled, c.durable.Bytes())
	for p, blocks := range c.blocks {
		b = record(b, recBlocks, blocksPayload(p, blocks))
	}
	for i, s := range c.files {
		p := binary.BigEndian.AppendUint32(nil, uint32(i))
		p = binary.BigEndian.AppendUint64(p, uint64(s.size))
		b = record(b, recFile, binary.BigEndian.AppendUint64(p, uint64(s.mtime)))
	}
	if !c.completed.IsZero() {
		b = record(b, recCompleted, binary.BigEndian.AppendUint64(nil, uint64(c.completed.Unix())))
	}
	if !c.placed.IsFull() {
		b = record(b, recPlaced, c.placed.Bytes())
	}
	if c.placing.Count() > 0 {
		b = record(b, recPlacing, c.placing.Bytes())
	}
	return b
}

// record appends a record whose checksum seal fills in.
func record(b []byte, kind byte, payload []byte) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return append(b, 0, 0, 0, 0)
}

func pieceRecord(b []byte, kind byte, piece uint32) []byte {
	return record(b, kind, binary.BigEndian.AppendUint32(make([]byte, 0, 4), piece))
}

func blocksPayload(piece uint32, blocks *bitfield.Bitfield) []byte {
	return append(binary.BigEndian.AppendUint32(nil, piece), blocks.Bytes()...)
}

// seal fills in the checksums of records, which go on from crc, and returns
// the last one.
func seal(records []byte, crc uint32) uint32 {
	for len(records) > 0 {
		n := 5 + int(binary.BigEndian.Uint32(records[1:]))
		crc = crc32.Update(crc, castagnoli, records[:n])
		binary.BigEndian.PutUint32(records[n:], crc)
		records = records[n+4:]
	}
	return crc
}

// openJournal reads the journal in folder, if there is one, and opens it for
// appending, or only to be read; otherwise j.f is nil. With errDamaged, there
// is one that says nothing.
func openJournal(fsys FS, folder string, info *metainfo.Info, hash metainfo.Hash, readOnly bool) (*journal, *claims, error) {
	j := &journal{fs: fsys, folder: folder, hash: hash, pieces: info.PieceCount(), readOnly: readOnly}
	c := newClaims(info)
	stat, err := fsys.Lstat(j.name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, c, nil
	case err != nil:
		return nil, nil, fault("look at", j.name(), err)
	case !stat.Mode().IsRegular():
		return nil, nil, conflict(j.name(), "is not a file")
	}
	flag := os.O_RDWR
	if readOnly {
		flag = os.O_RDONLY
	}
	f, err := fsys.OpenFile(j.name(), flag, 0)
	if err != nil {
		return nil, nil, fault("open", j.name(), err)
	}
	j.f = f
	err = j.read(io.NewSectionReader(f, 0, stat.Size()), stat.Size(), info, c)
	if err != nil && !errors.Is(err, errDamaged) {
		j.close()
		return nil, nil, fmt.Errorf("reading %q: %w", j.name(), err)
	}
	return j, c, err
}

// read takes in what r, of size bytes, says.
func (j *journal) read(r io.Reader, size int64, info *metainfo.Info, c *claims) error {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return readFault(err)
	}
	if string(head[:4]) == journalMagic && head[4] > journalVersion {
		return ErrNewerJournal
	}
	if !bytes.Equal(head, j.header()) {
		return errDamaged
	}
	rd := &journalReader{claims: c, info: info, r: newRecords(r, headerSize, binary.BigEndian.Uint32(head[headerSize-4:]))}
	if err := rd.run(); err != nil {
		return err
	}
	j.end, j.crc, j.base = rd.r.end, rd.r.crc, headerSize
	j.stale = j.end != size
	return nil
}

// readFault tells a journal that ends too early from one that can't be read.
func readFault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return fmt.Errorf("%w: %w", err, ErrIO)
}
