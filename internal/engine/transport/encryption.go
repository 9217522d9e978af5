package transport

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
)

// methods returns how a connection that a caller begins with an encrypted
// handshake may go on, the best first. If only the handshake is to be hidden
// the rest is left as it is, which costs nothing.
func methods(e download.Encryption) []mse.Method {
	switch e {
	case download.EncryptionRequire:
		return []mse.Method{mse.RC4}
	case download.EncryptionPrefer:
		return []mse.Method{mse.RC4, mse.Plain}
	case download.EncryptionDisable:
		return nil
	default:
		return []mse.Method{mse.Plain, mse.RC4}
	}
}

// attempt is one way to dial a peer: encrypted by one of these methods, or in
// the clear if there are none.
type attempt []mse.Method

// attempts returns how a peer is dialed, one after the other. Where encryption
// is preferred, it is all of the connection or nothing, because most peers would
// rather hide nothing but the handshake.
func attempts(e download.Encryption) []attempt {
	switch e {
	case download.EncryptionRequire:
		return []attempt{{mse.RC4}}
	case download.EncryptionPrefer:
		return []attempt{{mse.RC4}, nil}
	case download.EncryptionDisable:
		return []attempt{nil}
	default:
		return []attempt{nil, {mse.Plain, mse.RC4}}
	}
}

// worthAnother says whether the next attempt may succeed where this one ended
// with err. A peer that takes none but encrypted connections hangs up on others
// without a word. What peers do that can't encrypt is not known as well.
func (a attempt) worthAnother(err error) bool {
	var failed *handshakeError
	switch {
	case !errors.As(err, &failed), errors.Is(err, ErrSelf): // There was no connection, or it told enough.
		return false
	case a != nil:
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// handshakeError says that a peer was connected to, and no more.
type handshakeError struct {
	addr netip.AddrPort
	how  attempt
	err  error
}

func (e *handshakeError) Error() string {
	if e.how == nil {
		return fmt.Sprintf("handshake with %v: %v", e.addr, e.err)
	}
	return fmt.Sprintf("encrypted handshake with %v: %v", e.addr, e.err)
}

func (e *handshakeError) Unwrap() error { return e.err }
