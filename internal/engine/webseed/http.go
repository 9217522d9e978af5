package webseed

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// userAgent is how requests name their sender.
const userAgent = "torrent-operator"

// get asks for a range of a file, or for the whole file in which it is. Errors
// are fit to be shown.
func (s *Seed) get(ctx context.Context, span metainfo.Span, whole bool) (*answer, error) {
	a := &answer{}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.timer = time.AfterFunc(patience, func() { a.cancel(errSlow) })
	resp, err := s.find(a.ctx, span, whole) //nolint:bodyclose // It is closed with the answer.
	a.timer.Stop()
	if err != nil {
		if a.ctx.Err() != nil {
			err = context.Cause(a.ctx)
		}
		a.cancel(errEnded)
		return nil, s.broken(err)
	}
	a.body = resp.Body
	if a.left, err = s.length(resp, span, whole); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// find asks where the file was the last time, or else where it should be.
func (s *Seed) find(ctx context.Context, span metainfo.Span, whole bool) (*http.Response, error) {
	s.mu.Lock()
	at := s.moved[span.File]
	s.mu.Unlock()
	if at != nil {
		resp, err := s.follow(ctx, at, span, whole)
		if err == nil && resp.StatusCode < 300 {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
		}
		s.mu.Lock()
		delete(s.moved, span.File)
		s.mu.Unlock()
	}
	return s.follow(ctx, s.address(span.File), span, whole)
}

// follow asks at u and wherever that leads. It does so itself because an
// [http.Client] would put URLs into its errors and into what it sends to others.
func (s *Seed) follow(ctx context.Context, u *url.URL, span metainfo.Span, whole bool) (*http.Response, error) {
	first := u
	for range maxRedirects + 1 {
		resp, err := s.client.RoundTrip(s.request(ctx, u, span, whole))
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			resp.Body.Close()
			to, err := parse(resolve(u, resp.Header.Get("Location")))
			if err != nil {
				return nil, s.strange("redirects to something that %v", err)
			}
			u = to
			continue
		}
		if u != first && resp.StatusCode < 300 {
			s.mu.Lock()
			if len(s.moved) >= maxMoved {
				clear(s.moved)
			}
			s.moved[span.File] = u
			s.mu.Unlock()
		}
		return resp, nil
	}
	return nil, s.strange("redirects more than %d times", maxRedirects)
}

// resolve returns where a Location header leads from a URL; "" is nowhere.
func resolve(from *url.URL, location string) string {
	to, err := url.Parse(location)
	if err != nil || location == "" || len(location) > maxURL {
		return ""
	}
	return from.ResolveReference(to).String()
}

// request makes one request. The user and password of the seed's URL are for its
// server alone.
func (s *Seed) request(ctx context.Context, u *url.URL, span metainfo.Span, whole bool) *http.Request {
	header := http.Header{"User-Agent": {userAgent}, "Accept-Encoding": {"identity"}}
	if !whole {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", span.Offset, span.Offset+span.Length-1))
	}
	req := &http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}
	if user := u.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	return req.WithContext(ctx)
}

// length checks what an answer says of itself, and returns how many bytes it is
// to have.
func (s *Seed) length(resp *http.Response, span metainfo.Span, whole bool) (int64, error) {
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") && resp.StatusCode < 300 {
		return 0, s.strange("sends files in an encoding that nobody asked for; have it send them as they are")
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent && !whole:
		return s.rangeLength(resp, span)
	case resp.StatusCode == http.StatusOK:
		size := s.info.Files[span.File].Length
		if n := resp.ContentLength; n >= 0 && n != size {
			return 0, s.another(span.File, "it has %d bytes instead of %d", n, size)
		}
		if !whole && span.Length != size {
			return 0, &Error{text: s.host + " knows no ranges", kind: rangeless}
		}
		return size, nil
	case resp.StatusCode < 300:
		return 0, s.strange("answered %s, and was not asked for that", status(resp))
	}
	return 0, s.refused(span.File, resp)
}

// rangeLength checks that an answer has the range that was asked for, or the
// beginning of it (RFC 9110, section 14.4).
func (s *Seed) rangeLength(resp *http.Response, span metainfo.Span) (int64, error) {
	first, last, size, ok := parseRange(resp.Header.Get("Content-Range"))
	switch {
	case !ok:
		return 0, s.strange("does not say which range of a file it sends")
	case size >= 0 && size != s.info.Files[span.File].Length:
		return 0, s.another(span.File, "it has %d bytes instead of %d", size, s.info.Files[span.File].Length)
	case first != span.Offset || last >= span.Offset+span.Length:
		return 0, s.strange("sends the bytes from %d to %d of a file, and was asked for those from %d to %d",
			first, last, span.Offset, span.Offset+span.Length-1)
	case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
		return 0, s.strange("sends %d bytes and calls them those from %d to %d", resp.ContentLength, first, last)
	case last-first+1 < min(span.Length, block.Size):
		return 0, s.strange("sends only %d bytes where it was asked for %d", last-first+1, span.Length)
	}
	s.mu.Lock()
	s.proven = true
	s.mu.Unlock()
	return last - first + 1, nil
}

// parseRange reads a Content-Range header of one range. The size is -1 if the
// header does not tell.
func parseRange(value string) (first, last, size int64, ok bool) {
	value, ok = strings.CutPrefix(strings.TrimSpace(value), "bytes ")
	span, total, found := strings.Cut(value, "/")
	from, to, dash := strings.Cut(span, "-")
	if !ok || !found || !dash {
		return 0, 0, 0, false
	}
	numbers := [3]int64{2: -1}
	for i, text := range []string{from, to, total} {
		if i == 2 && strings.TrimSpace(text) == "*" {
			break
		}
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 63)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = int64(n)
	}
	first, last, size = numbers[0], numbers[1], numbers[2]
	return first, last, size, first <= last && (size < 0 || last < size)
}
