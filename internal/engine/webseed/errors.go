package webseed

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Error says why a connection to a web seed ended. Its text names the server's
// host, and neither path nor query.
type Error struct {
	text  string
	err   error
	kind  kind
	file  int           // Of kind missing.
	least time.Duration // How long to wait at least.
}

// kind says what follows from an error.
type kind uint8

const (
	failed    kind = iota // It is tried again later.
	busy                  // The server has too much to do, perhaps with us.
	missing               // The server does not have the file, or another one.
	rangeless             // The server does not know ranges.
	passed                // All files of a server without ranges were read.
	outdated              // Files that were missing are to be looked for again.
	closed                // Conn.Close was called, or the context of Run ended.
)

// Error tells it to a person.
func (e *Error) Error() string { return e.text }

// Unwrap returns what lies behind it, or nil.
func (e *Error) Unwrap() error { return e.err }

// errSlow ends a request whose answer does not come.
var errSlow = fmt.Errorf("sends too slowly: nothing, or less than a block of 16 KiB, in %v", patience)

// broken is an error of the network.
func (s *Seed) broken(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	text := wire.Text(err.Error(), maxText) // A server's bytes may be in it.
	if errors.Is(err, errSlow) {
		text = err.Error()
	}
	return &Error{text: s.host + ": " + text, err: err}
}

// refused is an answer that is not what was asked for.
func (s *Seed) refused(file int, resp *http.Response) *Error {
	e := &Error{text: fmt.Sprintf("%s answered %s for %s", s.host, status(resp), s.info.Files[file].Path)}
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		e.least = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			e.kind = busy
		}
	case code == http.StatusRequestedRangeNotSatisfiable:
		e.text += ": its file is shorter"
		e.kind, e.file, e.least = missing, file, refusedWait
	case code >= 400:
		e.kind, e.file, e.least = missing, file, refusedWait
	default:
		e.least = refusedWait
	}
	return e
}

// another says that the server's file is not the torrent's.
func (s *Seed) another(file int, format string, args ...any) *Error {
	return &Error{
		text: fmt.Sprintf("%s has another %s: ", s.host, s.info.Files[file].Path) + fmt.Sprintf(format, args...),
		kind: missing, file: file, least: refusedWait,
	}
}

// strange is an answer that makes no sense.
func (s *Seed) strange(format string, args ...any) *Error {
	return &Error{text: s.host + " " + fmt.Sprintf(format, args...), least: refusedWait}
}

// status returns an answer's status in words that are not the server's.
func status(resp *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110,
// section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
		wait = time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
