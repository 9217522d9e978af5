package mse

import (
	"bytes"
	"crypto/rc4"
	"encoding/binary"
	"io"
	"slices"
	"testing"
)

var (
	here  = [20]byte([]byte("a torrent that's here"[:20]))
	other = [20]byte([]byte("a torrent elsewhere."))
)

// script is the other side of a handshake: it answers each write at once, and
// what it says can be read.
type script struct {
	bytes.Buffer
	writes int
	answer func(n int, said []byte) []byte // n counts writes from 0.
}

func (s *script) Write(p []byte) (int, error) {
	if s.answer != nil {
		s.Buffer.Write(s.answer(s.writes, p))
	}
	s.writes++
	return len(p), nil
}

// part is a handshake as one side could send it. The zero value is a right one,
// without pads.
type part struct {
	pad        int    // Bytes of the pad behind the key,
	second     int    // and of that in the encrypted part.
	methods    Method // 0 is both for a caller, and RC4 for who is called.
	noMethods  bool
	infoHash   [20]byte // Zero is here.
	early      []byte
	what       func([]byte) []byte // Changes what is sent encrypted, before it is.
	instead    []byte              // Of all that follows the key and its pad.
	afterwards []byte              // Follows the handshake, encrypted.
}

func (p part) torrent() [20]byte {
	if p.infoHash == [20]byte{} {
		return here
	}
	return p.infoHash
}

// fixed is what both sides say under encryption.
func (p part) fixed(usual Method) []byte {
	m := p.methods
	if m == 0 && !p.noMethods {
		m = usual
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 8), uint32(m))
	b = binary.BigEndian.AppendUint16(b, uint16(p.second))
	return append(b, bytes.Repeat([]byte{'p'}, p.second)...)
}

func (p part) encrypt(c *rc4.Cipher, b []byte) []byte {
	if p.what != nil {
		b = p.what(b)
	}
	b = append(b, p.afterwards...)
	c.XORKeyStream(b, b)
	return b
}

// caller returns a script that calls, and its streams once they are known.
func (p part) caller() (*script, *Stream) {
	own, s := newSecret(), &Stream{Method: RC4}
	c := &script{answer: func(n int, said []byte) []byte {
		if n > 0 {
			return nil
		}
		if p.instead != nil {
			return p.instead
		}
		shared, err := own.shared(said[:keyLen])
		if err != nil {
			return nil
		}
		s.in, s.out = newCipher("keyB", shared, p.torrent()), newCipher("keyA", shared, p.torrent())
		mark, name := hash([]byte("req1"), shared), NameOf(p.torrent()).veiled(shared)
		b := p.fixed(Plain | RC4)
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.early)))
		return slices.Concat(mark[:], name[:], p.encrypt(s.out, append(b, p.early...)))
	}}
	c.Buffer.Write(own.public())
	c.Buffer.Write(make([]byte, p.pad))
	return c, s
}

// called returns a script that was called.
func (p part) called() *script {
	own := newSecret()
	var shared []byte
	return &script{answer: func(n int, said []byte) []byte {
		if n == 0 {
			shared, _ = own.shared(said[:keyLen])
			return append(own.public(), make([]byte, p.pad)...)
		}
		if p.instead != nil {
			return p.instead
		}
		return p.encrypt(newCipher("keyB", shared, p.torrent()), p.fixed(RC4))
	}}
}

// terms are those of the torrent that is here.
func terms(ms ...Method) Terms { return Terms{InfoHash: here, Methods: ms} }

// knows returns a lookup that knows one torrent.
func knows(t Terms) func(Name) (Terms, bool) {
	return func(n Name) (Terms, bool) { return t, n == NameOf(t.InfoHash) }
}

// rest reads all that is left.
func rest(t *testing.T, s *Stream, rw io.ReadWriter) string {
	t.Helper()
	b, err := io.ReadAll(s.Over(rw))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
