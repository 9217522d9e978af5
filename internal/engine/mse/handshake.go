package mse

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
)

// Terms are what one side speaks of and agrees to.
type Terms struct {
	InfoHash [20]byte
	Methods  []Method // Those that it may be, the best first. Who dials leaves the choice to the other side.
}

// provided returns the methods as crypto_provide.
func (t Terms) provided() (m Method) {
	for _, one := range t.Methods {
		m |= one
	}
	return m
}

// vc is the constant by which the other side sees that it has the right key.
var vc [8]byte

// Lengths of what stands in the encrypted parts of the handshake before pads:
// vc, methods, and the pad's length.
const fixedLen = len(vc) + 4 + 2

// Initiate does the handshake of the side that dials, and sends first, which
// is shorter than 64 KiB, as the beginning of its stream. It reads and writes
// until it is done or rw fails. A peer that does not know the torrent hangs up.
func Initiate(rw io.ReadWriter, t Terms, first []byte) (*Stream, error) {
	own := newSecret()
	if err := sendKey(rw, own); err != nil {
		return nil, err
	}
	theirs := make([]byte, keyLen)
	if _, err := io.ReadFull(rw, theirs); err != nil {
		return nil, err
	}
	shared, err := own.shared(theirs)
	if err != nil {
		return nil, err
	}
	s := &Stream{in: newCipher("keyB", shared, t.InfoHash), out: newCipher("keyA", shared, t.InfoHash)}
	mark, name := hash([]byte("req1"), shared), NameOf(t.InfoHash).veiled(shared)
	b := append(mark[:], name[:]...)
	at := len(b)
	b = appendFixed(b, t.provided())
	b = binary.BigEndian.AppendUint16(b, uint16(len(first)))
	b = append(b, first...)
	s.out.XORKeyStream(b[at:], b[at:])
	if _, err := rw.Write(b); err != nil {
		return nil, err
	}
	expected := vc
	s.in.XORKeyStream(expected[:], expected[:])
	if err := find(rw, expected[:]); err != nil {
		return nil, err
	}
	chosen, err := s.readFixed(rw)
	if err != nil {
		return nil, err
	}
	if chosen != Plain && chosen != RC4 || chosen&t.provided() == 0 {
		return nil, fmt.Errorf("%w: the peer chose %#x of %#x", ErrMethod, chosen, t.provided())
	}
	s.Method = chosen
	return s, nil
}

// Accept does the handshake of the side that was called, of which head was
// read already, at most what a key has. It asks known for the torrent that the
// caller names, which must not wait, and returns its terms. The first method of
// those that the caller provides is taken.
func Accept(rw io.ReadWriter, head []byte, known func(Name) (Terms, bool)) (*Stream, Terms, error) {
	theirs := make([]byte, keyLen)
	if _, err := io.ReadFull(rw, theirs[copy(theirs, head):]); err != nil {
		return nil, Terms{}, err
	}
	own := newSecret()
	shared, err := own.shared(theirs)
	if err != nil {
		return nil, Terms{}, err
	}
	if err := sendKey(rw, own); err != nil {
		return nil, Terms{}, err
	}
	mark := hash([]byte("req1"), shared)
	if err := find(rw, mark[:]); err != nil {
		return nil, Terms{}, err
	}
	var name Name
	if _, err := io.ReadFull(rw, name[:]); err != nil {
		return nil, Terms{}, err
	}
	t, ok := known(name.veiled(shared))
	if !ok {
		return nil, t, ErrTorrent
	}
	s := &Stream{in: newCipher("keyA", shared, t.InfoHash), out: newCipher("keyB", shared, t.InfoHash)}
	return s, t, s.agree(rw, t)
}

// agree is the part of a called side that is encrypted.
func (s *Stream) agree(rw io.ReadWriter, t Terms) error {
	var begin [len(vc)]byte
	if err := s.read(rw, begin[:]); err != nil {
		return err
	}
	if begin != vc {
		return ErrSync
	}
	provided, err := s.readFixed(rw)
	if err != nil {
		return err
	}
	var early [2]byte
	if err := s.read(rw, early[:]); err != nil {
		return err
	}
	s.early = int(binary.BigEndian.Uint16(early[:]))
	for _, m := range t.Methods {
		if m&provided != 0 {
			s.Method = m
			break
		}
	}
	if s.Method == 0 {
		return fmt.Errorf("%w: the caller provides %#x, and %#x would do", ErrMethod, provided, t.provided())
	}
	b := appendFixed(nil, s.Method)
	s.out.XORKeyStream(b, b)
	_, err = rw.Write(b)
	return err
}

// sendKey sends a public key and a pad behind it.
func sendKey(w io.Writer, own secret) error {
	_, err := w.Write(append(own.public(), newPad()...))
	return err
}

// newPad returns a pad of any length.
func newPad() []byte {
	b := make([]byte, 2+maxPad)
	rand.Read(b)
	return b[2:][:binary.BigEndian.Uint16(b)%(maxPad+1)]
}

// appendFixed appends vc, methods, and the length of an empty pad.
func appendFixed(b []byte, m Method) []byte {
	b = append(b, vc[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(m))
	return append(b, 0, 0)
}

// readFixed reads what follows vc up to the end of the pad, and returns the
// methods.
func (s *Stream) readFixed(r io.Reader) (Method, error) {
	var b [fixedLen - len(vc)]byte
	if err := s.read(r, b[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n > maxPad {
		return 0, fmt.Errorf("%w: %d bytes", ErrPad, n)
	}
	var pad [maxPad]byte
	return Method(binary.BigEndian.Uint32(b[:])), s.read(r, pad[:n])
}

// read fills b with what comes next, decrypted.
func (s *Stream) read(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	s.in.XORKeyStream(b, b)
	return nil
}

// find reads up to the end of mark, before which there is a pad, and nothing
// beyond it. The error is [ErrSync] if it is not where it should be.
func find(r io.Reader, mark []byte) error {
	var b [maxPad + 20]byte
	n := 0
	for {
		k := min(n, len(mark)) // How much of mark stands at the end.
		for !bytes.HasSuffix(b[:n], mark[:k]) {
			k--
		}
		missing := len(mark) - k
		switch {
		case missing == 0:
			return nil
		case n+missing > maxPad+len(mark):
			return ErrSync
		}
		if _, err := io.ReadFull(r, b[n:n+missing]); err != nil {
			return err
		}
		n += missing
	}
}
