package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// written returns a journal's bytes: a header and then records.
func written(j *journal, records ...[]byte) []byte {
	b := j.header()
	all := bytes.Join(records, nil)
	seal(all, binary.BigEndian.Uint32(b[headerSize-4:]))
	return append(b, all...)
}

func readBack(j *journal, s *sample, b []byte) (*claims, error) {
	c := newClaims(s.Info)
	return c, j.read(bytes.NewReader(b), int64(len(b)), s.Info, c)
}

func durableUpTo(off int) []byte {
	return record(nil, recDurable, binary.BigEndian.AppendUint64(nil, uint64(off)))
}

func TestDurableIsOnlyWhatWasWrittenBefore(t *testing.T) {
	s := mixed(t, 1)
	j := &journal{hash: s.InfoHash, pieces: 5}
	base := newClaims(s.Info)
	base.written.Set(4)
	w := func(p uint32) []byte { return pieceRecord(nil, recWritten, p) }
	head := append(base.records(), w(0)...)
	end := headerSize + len(head)
	for _, x := range []struct {
		records [][]byte
		durable []int
	}{
		{[][]byte{head, w(1)}, nil},
		{[][]byte{head, w(1), durableUpTo(end)}, []int{0, 4}},
		{[][]byte{head, w(1), durableUpTo(end - 1)}, []int{4}},
		{[][]byte{head, w(1), durableUpTo(end), w(2), durableUpTo(end + 13)}, []int{0, 1, 4}},
		{[][]byte{head, w(1), pieceRecord(nil, recLost, 0), durableUpTo(end + 13)}, []int{1, 4}},
		{[][]byte{head, durableUpTo(end), pieceRecord(nil, recLost, 4), w(4)}, []int{0}},
	} {
		c, err := readBack(j, s, written(j, x.records...))
		if err != nil || !equal(c.durable, pieces(5, x.durable...)) {
			t.Errorf("%d records: %x, not %v; %v", len(x.records), c.durable.Bytes(), x.durable, err)
		}
	}
}

func TestTornOrDamagedTailIsIgnored(t *testing.T) {
	s := mixed(t, 1)
	j := &journal{hash: s.InfoHash, pieces: 5}
	var all [][]byte
	for p := range uint32(5) {
		all = append(all, pieceRecord(nil, recWritten, p))
	}
	whole := written(j, all...)
	for n := headerSize; n < len(whole); n++ {
		want := (n - headerSize) / 13
		c, err := readBack(j, s, whole[:n])
		if err != nil || c.written.Count() != want {
			t.Fatalf("%d bytes: %d pieces, %v", n, c.written.Count(), err)
		}
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		if c, err = readBack(j, s, bad); err != nil || c.written.Count() != want {
			t.Fatalf("byte %d damaged: %d pieces, %v", n, c.written.Count(), err)
		}
	}
	for n := range headerSize {
		if _, err := readBack(j, s, whole[:n]); !errors.Is(err, errDamaged) {
			t.Errorf("header of %d bytes: %v", n, err)
		}
	}
	// What a failed append leaves never counts behind a shorter one.
	over := append(bytes.Clone(whole[:headerSize+13]), written(j, pieceRecord(nil, recWritten, 4))[headerSize:]...)
	over = append(over, whole[headerSize+26:]...)
	if c, _ := readBack(j, s, over); c.written.Count() != 1 {
		t.Errorf("leftovers count: %x", c.written.Bytes())
	}
}

func TestDamagedHeaderMeansThatEverythingIsChecked(t *testing.T) {
	s := mixed(t, 1)
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	c.receive(2, s.piece(2))
	if r := c.fetch(0); !r.OK {
		t.Fatal(r)
	}
	c.mustClose(t)
	name := folderOf(s.InfoHash) + "/journal"
	whole := m.bytes(name)
	bad := bytes.Clone(whole)
	bad[7] ^= 1
	m.put(name, bad)
	c = mustOpen(t, d, s)
	// Piece 2 was complete and never finished; its files alone tell that it
	// is good, and that they have no other good piece makes none foreign.
	if !equal(c.Have(), pieces(5, 0, 2)) || c.Durable() != 0 {
		t.Errorf("found %x, %d durable", c.Have().Bytes(), c.Durable())
	}
	c.fetchAll(t)
	c.mustClose(t)
	s.onDisk(t, m)

	whole[4]++
	m.put(name, whole)
	if _, err := open(d, "", s); !errors.Is(err, ErrNewerJournal) {
		t.Errorf("a later version: %v", err)
	}
	if !bytes.Equal(m.bytes(name), whole) {
		t.Error("the journal of a later version was changed")
	}
}

func TestJournalIsReplacedBeforeItGrowsLong(t *testing.T) {
	s := newSample(t, 1, block.Size/64, part{"a", 512 * block.Size, ""})
	m := newMemFS()
	d := volume(m, 64)
	defer d.Close()
	c := mustOpen(t, d, s)
	name := folderOf(s.InfoHash) + "/journal"
	for p := range uint32(s.Info.PieceCount()) {
		c.receive(p, s.piece(p))
		c.Finish(p, false)
		if r := <-c.results; !r.OK {
			t.Fatal(r)
		}
		if p%1000 == 0 {
			if err := c.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(m.bytes(name)); n > compactAt+1001*13+5000 {
		t.Errorf("the journal has %d bytes", n)
	}
	killed := m.afterKill()
	d2 := volume(killed, 64)
	defer d2.Close()
	if have := mustOpen(t, d2, s).Have(); !have.IsFull() {
		t.Errorf("%d of %d pieces after a kill", have.Count(), have.Len())
	}
}

func FuzzJournal(f *testing.F) {
	s := mixed(f, 1)
	j := &journal{hash: s.InfoHash, pieces: 5}
	full := newClaims(s.Info)
	full.written.SetAll()
	full.files[0] = stamp{1, 2}
	full.blocks[3] = pieces(5, 1)
	f.Add(full.records())
	full.placed, full.placing = s.files("a.bin"), s.files("d.bin")
	f.Add(full.records())
	f.Add(append(pieceRecord(nil, recWritten, 3), durableUpTo(100)...))
	f.Add(append(pieceRecord(nil, recWritten, 3), pieceRecord(nil, recLost, 3)...))
	f.Add(record(nil, recBlocks, blocksPayload(2, pieces(5, 0, 4))))
	f.Fuzz(func(t *testing.T, body []byte) {
		// Seal what can be taken for records, so that their content is read.
		b := append(j.header(), body...)
		crc := binary.BigEndian.Uint32(b[headerSize-4:])
		for rest := b[headerSize:]; len(rest) >= recordFrame; {
			n := recordFrame + int(binary.BigEndian.Uint32(rest[1:]))
			if n > len(rest) {
				break
			}
			crc = seal(rest[:n], crc)
			rest = rest[n:]
		}
		c, err := readBack(j, s, b)
		if err != nil {
			t.Fatal(err)
		}
		for p := range c.durable.All() {
			if !c.written.Has(p) {
				t.Errorf("piece %d is durable and was not written", p)
			}
		}
		// What was understood says the same when it is written anew.
		again, err := readBack(j, s, written(j, c.records()))
		if err != nil || !equal(again.written, c.written) || !equal(again.durable, c.durable) ||
			len(again.blocks) != len(c.blocks) || len(again.files) != len(c.files) ||
			!equal(again.placed, c.placed) || !equal(again.placing, c.placing) || again.completed.Unix() != c.completed.Unix() {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

func TestWritingSurvivesShortWritesAndManyChunks(t *testing.T) {
	m := newMemFS()
	m.short = rand.New(rand.NewPCG(1, 1))
	f, err := m.OpenFile("x", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	var chunks [][]byte
	for i := range 2*maxChunks + 5 {
		chunks = append(chunks, []byte{byte(i), byte(i >> 8), 7})
		want = append(want, chunks[i]...)
	}
	if err := writeAll(f, chunks, 10); err != nil || !bytes.Equal(m.bytes("x")[10:], want) {
		t.Errorf("%v", err)
	}
	if err := writeAll(stuck{f}, [][]byte{{1}}, 0); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a file that takes nothing: %v", err)
	}
}

// stuck is a file that takes nothing and gives no reason.
type stuck struct{ File }

func (stuck) WriteVec([][]byte, int64) (int, error) { return 0, nil }
