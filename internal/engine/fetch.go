package engine

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
)

// Bounds on fetching a .torrent file, beside metainfo.MaxSize.
const (
	fetchTimeout   = 5 * time.Minute
	fetchRedirects = 10
)

// ReadMetainfo parses the bytes of a .torrent file. The error is a
// [download.Failure].
func ReadMetainfo(b []byte) (*metainfo.Metainfo, error) {
	m, err := metainfo.Parse(b)
	switch {
	case errors.Is(err, metainfo.ErrUnsupported):
		return nil, permanent(download.ReasonUnsupportedTorrent, "%v", err)
	case err != nil:
		return nil, permanent(download.ReasonMetainfoInvalid, "%v; put the right .torrent file there", err)
	}
	return m, nil
}

// ReadMagnet parses a magnet link. The error is a [download.Failure].
func ReadMagnet(link string) (*metainfo.Magnet, error) {
	m, err := metainfo.ParseMagnet(link)
	switch {
	case errors.Is(err, metainfo.ErrUnsupported):
		return nil, permanent(download.ReasonUnsupportedTorrent, "%v", err)
	case err != nil:
		return nil, permanent(download.ReasonMetainfoInvalid, "%v", err)
	}
	return m, nil
}

// FetchMetainfo gets a .torrent file over HTTP(S), within the engine's guard,
// and parses it. The error is a [download.Failure]; it names the host but
// neither path nor query, which may hold a passkey.
func (e *Engine) FetchMetainfo(ctx context.Context, from download.URL) (*metainfo.Metainfo, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.Address, nil)
	if err != nil || req.URL.Host == "" {
		return nil, permanent(download.ReasonMetainfoUnavailable, "the address of the .torrent file is not a URL; give one that starts with http:// or https://")
	}
	for name, value := range from.Headers {
		req.Header.Set(name, strings.TrimSpace(value))
	}
	client, err := e.fetcher(from)
	if err != nil {
		return nil, err
	}
	host := req.URL.Scheme + "://" + req.URL.Host
	resp, err := client.Do(req)
	if err != nil {
		return nil, fetchFailure(host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, transient(download.ReasonMetainfoUnavailable, "the server %s answered %s for the .torrent file; check the URL and, if it needs one, the Secret with its headers", host, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, metainfo.MaxSize+1))
	if err != nil {
		return nil, fetchFailure(host, err)
	}
	if len(body) > metainfo.MaxSize {
		return nil, permanent(download.ReasonMetainfoInvalid, "the server %s sent more than %d MiB, which is no .torrent file", host, metainfo.MaxSize>>20)
	}
	if sum := sha256.Sum256(body); from.SHA256 != "" && !strings.EqualFold(from.SHA256, hex.EncodeToString(sum[:])) {
		return nil, permanent(download.ReasonChecksumMismatch, "the .torrent file from %s has SHA-256 %x and not the pinned one; check both", host, sum)
	}
	return ReadMetainfo(body)
}

// fetcher returns a client with from's certificates and bounds. Headers given
// by the user do not follow a redirect to another host.
func (e *Engine) fetcher(from download.URL) (*http.Client, error) {
	client := &http.Client{Transport: e.http, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= fetchRedirects {
			return fmt.Errorf("stopped after %d redirects", fetchRedirects)
		}
		req.Header.Del("Referer") // Its path or query may be a passkey.
		if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
			for name := range from.Headers {
				req.Header.Del(name)
			}
		}
		return nil
	}}
	if from.CABundle == nil {
		return client, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(from.CABundle) {
		return nil, permanent(download.ReasonMetainfoUnavailable, "the CA bundle holds no PEM certificate")
	}
	t := e.http.Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	t.DisableKeepAlives = true
	client.Transport = t
	return client, nil
}

// fetchFailure drops the URL that net/http puts into its errors.
func fetchFailure(host string, err error) error {
	var denied *transport.DeniedError
	if errors.As(err, &denied) {
		return permanent(download.ReasonAddressDenied, "%v", denied)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return transient(download.ReasonMetainfoUnavailable, "can't fetch the .torrent file from %s: %v", host, err)
}

func permanent(reason, format string, args ...any) *download.Failure {
	return &download.Failure{Reason: reason, Message: fmt.Sprintf(format, args...), Permanent: true}
}

func transient(reason, format string, args ...any) *download.Failure {
	return &download.Failure{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
