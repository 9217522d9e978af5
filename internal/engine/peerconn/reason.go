package peerconn

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// Why a connection ended, as words to count by.
const (
	ReasonClosedByPeer = "closed-by-peer"     // It hung up, in good order or not.
	ReasonNetwork      = "network-error"      // The network failed in another way.
	ReasonTimeout      = "timeout"            // It was silent, trickled a block, or read nothing.
	ReasonBadMessage   = "bad-message"        // A message of a wrong length, or one that was not agreed on.
	ReasonUnrequested  = "unrequested-block"  // A block that it was not asked for.
	ReasonOverflow     = "queue-overflow"     // More waits to be sent, or to be answered, than is allowed.
	ReasonUnreadable   = "block-not-readable" // A block that was to be served could not be read.
	ReasonStopped      = "stopped"            // The context of Run ended.
)

// Error says why a connection ended.
type Error struct {
	reason string
	err    error
}

// Error tells it to a person.
func (e *Error) Error() string {
	if e.err == nil {
		return e.reason
	}
	return e.reason + ": " + e.err.Error()
}

// Reason returns one of a small set of words, to count by: a Reason constant
// of this package, or what was given to [Conn.Close].
func (e *Error) Reason() string { return e.reason }

// Unwrap returns what lies behind it, or nil.
func (e *Error) Unwrap() error { return e.err }

// because returns err as an *Error, with the reason that an error of the
// network speaks for.
func because(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &Error{ReasonClosedByPeer, err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{ReasonTimeout, err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{ReasonStopped, err}
	default:
		return &Error{ReasonNetwork, err}
	}
}
