package mse

import (
	"crypto/rc4"
	"io"
)

// Method is how the stream goes on after a handshake, as a bit of
// crypto_provide.
type Method uint32

// The methods.
const (
	Plain Method = 1 // As it is: only the handshake is hidden.
	RC4   Method = 2 // Encrypted from beginning to end.
)

// Stream turns the bytes after a handshake. One goroutine may encrypt while
// another one decrypts.
type Stream struct {
	Method  Method
	in, out *rc4.Cipher
	early   int // Under Plain: how many bytes of what the peer sends are encrypted still.
}

// Decrypt turns what was read, in its order, in place.
func (s *Stream) Decrypt(b []byte) {
	if s.Method == Plain {
		b = b[:min(s.early, len(b))]
		s.early -= len(b)
	}
	s.in.XORKeyStream(b, b)
}

// Encrypt turns what is to be written, in its order, in place.
func (s *Stream) Encrypt(b []byte) {
	if s.Method == RC4 {
		s.out.XORKeyStream(b, b)
	}
}

// Idle says that nothing is turned any more: the connection can be used as it
// is.
func (s *Stream) Idle() bool { return s.Method == Plain && s.early == 0 }

// Over returns rw behind the stream. It is for little: what is written is
// copied.
func (s *Stream) Over(rw io.ReadWriter) io.ReadWriter { return over{s, rw} }

type over struct {
	s  *Stream
	rw io.ReadWriter
}

func (o over) Read(p []byte) (int, error) {
	n, err := o.rw.Read(p)
	o.s.Decrypt(p[:n])
	return n, err
}

func (o over) Write(p []byte) (int, error) {
	b := append([]byte(nil), p...)
	o.s.Encrypt(b)
	return o.rw.Write(b)
}
