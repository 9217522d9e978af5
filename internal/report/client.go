package report

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// What an operator says instead of a [Reply].
var (
	// ErrNotLeading says that this replica of the operator does not lead.
	ErrNotLeading = errors.New("this replica of the operator does not lead")
	// ErrUnknown says that the operator does not know the download, or not yet.
	ErrUnknown = errors.New("the operator does not know this download")
	// ErrForbidden says that the sender is not the download's worker.
	ErrForbidden = errors.New("the operator takes nothing for this download from this Pod")
	// ErrToken says that the token is nobody's, or for something else.
	ErrToken = errors.New("the operator does not accept the token")
)

// codes are how the server says it.
var codes = map[int]error{
	http.StatusServiceUnavailable: ErrNotLeading,
	http.StatusNotFound:           ErrUnknown,
	http.StatusForbidden:          ErrForbidden,
	http.StatusUnauthorized:       ErrToken,
}

// Client is the worker's end. It makes one push at a time.
type Client struct {
	Endpoint  string // host:port of the operator; the host is what its certificate is for.
	CAFile    string // The certificates that it is trusted by, read again for each push.
	TokenFile string // The token that the worker is known by, likewise.
	// Lookup returns the addresses of a host; nil asks the system.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	leader netip.Addr // Who has taken the last push.
	ca     []byte     // What http trusts.
	http   *http.Transport
}

// Push tells the operator, whichever of its replicas leads: all addresses of
// its name are tried in their turn, the one that led last before the others.
// The error wraps what the one that leads has said, or what befell each.
func (c *Client) Push(ctx context.Context, p Push) (Reply, error) {
	body, err := EncodePush(p)
	if err != nil {
		return Reply{}, err
	}
	host, port, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		return Reply{}, err
	}
	token, err := readBounded(c.TokenFile, maxToken)
	if err != nil {
		return Reply{}, err
	}
	if err := c.trust(host); err != nil {
		return Reply{}, err
	}
	addresses, err := c.addresses(ctx, host)
	if err != nil {
		return Reply{}, err
	}
	var failed error
	for _, a := range addresses {
		r, err := c.try(ctx, net.JoinHostPort(a.String(), port), strings.TrimSpace(string(token)), body)
		var said *answer
		if err == nil || errors.As(err, &said) && said.code != http.StatusServiceUnavailable {
			c.leader = a
			return r, err
		}
		failed = errors.Join(failed, fmt.Errorf("%v: %w", a, err))
		if ctx.Err() != nil {
			break
		}
	}
	return Reply{}, failed
}

// Close ends the connection that waits for the next push.
func (c *Client) Close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// trust has connections verified by what CAFile holds now.
func (c *Client) trust(host string) error {
	ca, err := readBounded(c.CAFile, maxCA)
	if err != nil || c.http != nil && bytes.Equal(ca, c.ca) {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate", c.CAFile)
	}
	c.Close()
	c.ca = ca
	c.http = &http.Transport{ // No proxy: the operator is in the cluster.
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13},
		TLSHandshakeTimeout:    attemptTimeout,
		ResponseHeaderTimeout:  attemptTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConnsPerHost:    1,
		MaxIdleConns:           1,
		IdleConnTimeout:        keepIdle,
		DisableCompression:     true,
	}
	return nil
}

// addresses returns those of the operator's replicas, the leader first.
func (c *Client) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	lookup := c.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	found, err := lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no address: no operator runs", host)
	}
	out := slices.Clone(found)
	for i := range out {
		out[i] = out[i].Unmap()
	}
	if i := slices.Index(out, c.leader); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out[:min(len(out), maxAddresses)], nil
}

// answer is one without a reply.
type answer struct {
	code int
}

// Error says what the operator has said.
func (a *answer) Error() string {
	if err := codes[a.code]; err != nil {
		return err.Error()
	}
	return fmt.Sprintf("the operator answers %d (%s)", a.code, http.StatusText(a.code))
}

// Unwrap returns what the code stands for.
func (a *answer) Unwrap() error { return codes[a.code] }

// try makes a push to one address.
func (c *Client) try(ctx context.Context, address, token string, body []byte) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+Path, bytes.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	req.Host = c.Endpoint
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.RoundTrip(req) // Not a client: it would follow redirects.
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		io.CopyN(io.Discard, res.Body, maxHeaders) //nolint:errcheck // It lets the connection be used again, if it is short.
		return Reply{}, &answer{res.StatusCode}
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, MaxReply+1))
	if err != nil {
		return Reply{}, err
	}
	return DecodeReply(b)
}

// readBounded reads a file of at most most bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return b, err
}
