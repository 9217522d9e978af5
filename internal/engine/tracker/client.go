package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// userAgent is how announces name their sender.
const userAgent = "torrent-operator"

// Client announces torrents to trackers. One serves any number of torrents and
// goroutines.
type Client struct {
	transport http.RoundTripper
}

// NewClient returns a client whose requests, redirects among them, all go
// through transport. Whom it may reach is the transport's to say.
func NewClient(transport http.RoundTripper) *Client { return &Client{transport} }

// Announce tells the tracker at an announce URL of a, and returns its reply. It
// takes no longer than ctx and a time-out of its own allow. Errors are fit to
// be shown: none holds more of the URL than scheme and host. They match
// [ErrUnsupported] or [*FailureError], or whatever the transport says.
func (c *Client) Announce(ctx context.Context, announce string, a Announce) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	u, err := announceURL(announce, a)
	if err != nil {
		return Reply{}, err
	}
	r, err := c.get(ctx, u)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the tracker did not answer in time: %w", context.DeadlineExceeded)
	}
	var refused *FailureError
	if errors.As(err, &refused) {
		refused.Reason = conceal(refused.Reason, announce)
		return Reply{}, refused
	}
	if err != nil {
		return Reply{}, shown(err, announce)
	}
	r.Warning = conceal(r.Warning, announce)
	return r, nil
}

// get follows redirects itself: an http.Client would put URLs into its errors.
func (c *Client) get(ctx context.Context, u *url.URL) (Reply, error) {
	for range maxRedirects + 1 {
		req := (&http.Request{
			Method: http.MethodGet, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"User-Agent": {userAgent}},
		}).WithContext(ctx)
		if u.User != nil {
			password, _ := u.User.Password()
			req.SetBasicAuth(u.User.Username(), password)
		}
		resp, err := c.transport.RoundTrip(req)
		if err != nil {
			return Reply{}, err
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			resp.Body.Close()
			if u, err = redirect(u, resp.Header.Get("Location")); err != nil {
				return Reply{}, err
			}
		default:
			return read(resp)
		}
	}
	return Reply{}, fmt.Errorf("the tracker redirects more than %d times", maxRedirects)
}

// redirect returns the URL that a Location header leads to.
func redirect(from *url.URL, location string) (*url.URL, error) {
	to, err := url.Parse(location)
	if err != nil || location == "" || len(location) > 2*maxURL {
		return nil, errors.New("the tracker redirects to something that is not a valid URL")
	}
	to = from.ResolveReference(to)
	if to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "" {
		return nil, errors.New("the tracker redirects to something that is not an http or https URL")
	}
	to.Fragment, to.RawFragment = "", ""
	return to, nil
}

// read reads a reply. A failure reason counts whatever the HTTP status is.
func read(resp *http.Response) (Reply, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return Reply{}, fmt.Errorf("the tracker's answer broke off: %w", err)
	}
	if len(body) > maxReply {
		return Reply{}, fmt.Errorf("the tracker's answer has more than %d bytes", maxReply)
	}
	r, err := parseReply(body)
	var refused *FailureError
	if resp.StatusCode != http.StatusOK && !errors.As(err, &refused) {
		return Reply{}, fmt.Errorf("the tracker answered with HTTP status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return r, err
}
