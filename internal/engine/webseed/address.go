package webseed

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// parse reads the URL of a web seed or of a redirect. Errors don't repeat it.
func parse(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("has more than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("is not an http:// or https:// URL")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// hostOf returns the part of a URL that may be shown.
func hostOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// address returns where a file is (BEP 19, "Metadata Extension" and "Multi-File
// Torrents"). The URL of a torrent of one file is the file's own, unless it ends
// in a slash; any other is that of a folder in which the torrent's name is.
// Names are those that the torrent gives, without what leads elsewhere.
func (s *Seed) address(file int) *url.URL {
	names := s.info.Names(file)
	path := s.base.EscapedPath()
	if len(names) == 1 && path != "" && !strings.HasSuffix(path, "/") {
		return s.base
	}
	path = strings.TrimSuffix(path, "/")
	for _, name := range names {
		if name != "" && name != "." && name != ".." {
			path += "/" + escape(name)
		}
	}
	u := *s.base
	u.Path, _ = url.PathUnescape(path) // It was escaped here or comes from a parsed URL.
	u.RawPath = path
	return &u
}

// escape makes any bytes one component of a path. It also escapes what may stand
// there as it is, such as a plus, because there are servers that take it for
// something else.
func escape(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "+", "%20") }
