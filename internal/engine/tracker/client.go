package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
)

// userAgent is how announces name their sender.
const userAgent = "torrent-operator"

// Client announces torrents to trackers. One serves any number of torrents and
// goroutines.
type Client struct {
	transport http.RoundTripper
	datagrams *datagrams
}

// NewClient returns a client whose HTTP requests, redirects among them, all go
// through transport: whom it may reach is the transport's to say. UDP trackers
// are asked at those addresses for which allow returns nil. [Client.Close] ends
// what the client has opened.
func NewClient(transport http.RoundTripper, allow func(netip.Addr) error) *Client {
	return &Client{transport, newDatagrams(allow)}
}

// Close ends what is under way with UDP trackers. The client is of no more use
// to them.
func (c *Client) Close() { c.datagrams.close() }

// Over returns the same client with another transport for HTTP.
func (c *Client) Over(transport http.RoundTripper) *Client {
	other := *c
	other.transport = transport
	return &other
}

// Announce tells the tracker at an announce URL of a, and returns its reply. It
// takes no longer than ctx and a time-out of its own allow. Errors are fit to
// be shown: none holds more of the URL than scheme and host. They match
// [ErrUnsupported] or [*FailureError], or whatever the transport, allow or the
// system say.
func (c *Client) Announce(ctx context.Context, announce string, a Announce) (Reply, error) {
	u, err := parseURL(announce)
	if err != nil {
		return Reply{}, err
	}
	var r Reply
	if u.Scheme == "udp" {
		r, err = c.datagrams.announce(ctx, u, a)
	} else {
		err = c.get(ctx, announceURL(u, a), func(body []byte) (err error) {
			r, err = parseReply(body)
			return err
		})
	}
	if err != nil {
		return Reply{}, showable(err, announce)
	}
	r.Warning = conceal(r.Warning, announce)
	return r, nil
}

// Scrape asks the tracker at an announce URL how many peers a torrent has that
// have everything, and that do not; -1 is what the tracker does not say. Time
// and errors are as those of [Client.Announce]; a tracker over HTTP whose URL
// has no counterpart for scrapes is [ErrUnsupported].
func (c *Client) Scrape(ctx context.Context, announce string, infoHash [20]byte) (seeds, peers int, err error) {
	u, err := parseURL(announce)
	if err != nil {
		return -1, -1, err
	}
	if u.Scheme == "udp" {
		seeds, peers, err = c.datagrams.scrape(ctx, u, infoHash)
	} else if u, err = scrapeURL(u, infoHash); err == nil {
		err = c.get(ctx, u, func(body []byte) (err error) {
			seeds, peers, err = parseScrape(body, infoHash)
			return err
		})
	}
	if err != nil {
		return -1, -1, showable(err, announce)
	}
	return seeds, peers, nil
}

// showable makes the error of an exchange with a tracker fit to be shown.
func showable(err error, announce string) error {
	var refused *FailureError
	switch {
	case errors.As(err, &refused):
		refused.Reason = conceal(refused.Reason, announce)
		return refused
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the tracker did not answer in time: %w", context.DeadlineExceeded)
	}
	return shown(err, announce)
}

// get hands the body of what is at u to parse. It follows redirects itself: an
// http.Client would put URLs into its errors.
func (c *Client) get(ctx context.Context, u *url.URL, parse func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
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
			return err
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			resp.Body.Close()
			if u, err = redirect(u, resp.Header.Get("Location")); err != nil {
				return err
			}
		default:
			return read(resp, parse)
		}
	}
	return fmt.Errorf("the tracker redirects more than %d times", maxRedirects)
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
func read(resp *http.Response, parse func([]byte) error) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return fmt.Errorf("the tracker's answer broke off: %w", err)
	}
	if len(body) > maxReply {
		return fmt.Errorf("the tracker's answer has more than %d bytes", maxReply)
	}
	err = parse(body)
	var refused *FailureError
	if resp.StatusCode != http.StatusOK && !errors.As(err, &refused) {
		return fmt.Errorf("the tracker answered with HTTP status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return err
}
