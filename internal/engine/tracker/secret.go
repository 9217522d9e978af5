package tracker

import (
	"errors"
	"net/url"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// redacted returns the scheme and host of an announce URL, which is all that
// may be shown of it.
func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" || len(raw) > maxURL {
		return "(not a valid URL)"
	}
	return wire.Text(u.Scheme+"://"+u.Host, maxText)
}

// shortestSecret is the length from which a part of a URL is taken for a
// secret; passkeys have at least 16 characters in practice.
const shortestSecret = 8

// conceal replaces those parts of an announce URL that may be secret (user
// information, elements of the path, the query) wherever s repeats them.
func conceal(s, raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return s
	}
	parts := strings.Split(u.Path, "/")
	parts = append(parts, u.EscapedPath(), u.RawQuery)
	for _, vs := range u.Query() {
		parts = append(parts, vs...)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		parts = append(parts, u.User.Username(), password)
	}
	s = strings.ReplaceAll(s, raw, redacted(raw))
	for _, p := range parts {
		if len(p) >= shortestSecret && p != "announce" && p != "/announce" {
			s = strings.ReplaceAll(s, p, "[hidden]")
		}
	}
	return s
}

// shownError is an error whose text is fit to be shown. What it wraps is kept
// for errors.Is and errors.As, and is not.
type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

// shown makes an error about an announce to raw fit to be shown.
func shown(err error, raw string) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	return &shownError{text: wire.Text(conceal(err.Error(), raw), maxText), err: err}
}
