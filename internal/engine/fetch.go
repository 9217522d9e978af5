package engine

import (
	"context"
	"crypto/sha256"
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
		return nil, download.FailForGood(download.ReasonUnsupportedTorrent, "%v", err)
	case err != nil:
		return nil, download.FailForGood(download.ReasonMetainfoInvalid, "%v; put the right .torrent file there", err)
	}
	return m, nil
}

// ReadMagnet parses a magnet link. The error is a [download.Failure].
func ReadMagnet(link string) (*metainfo.Magnet, error) {
	m, err := metainfo.ParseMagnet(link)
	switch {
	case errors.Is(err, metainfo.ErrUnsupported):
		return nil, download.FailForGood(download.ReasonUnsupportedTorrent, "%v", err)
	case err != nil:
		return nil, download.FailForGood(download.ReasonMetainfoInvalid, "%v", err)
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
		return nil, download.FailForGood(download.ReasonMetainfoUnavailable, "the address of the .torrent file is not a URL; give one that starts with http:// or https://")
	}
	web := e.http
	if from.CABundle != nil {
		if web, err = e.http.WithRoots(from.CABundle); err != nil {
			return nil, download.FailForGood(download.ReasonMetainfoUnavailable, "%v", err)
		}
		defer web.CloseIdleConnections()
	}
	host := req.URL.Scheme + "://" + req.URL.Host
	resp, err := fetcher(web, from).Do(req)
	if err != nil {
		return nil, fetchFailure(host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, download.Fail(download.ReasonMetainfoUnavailable, "the server %s answered %s for the .torrent file; check the URL and, if it needs one, the Secret with its headers", host, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, metainfo.MaxSize+1))
	if err != nil {
		return nil, fetchFailure(host, err)
	}
	if len(body) > metainfo.MaxSize {
		return nil, download.FailForGood(download.ReasonMetainfoInvalid, "the server %s sent more than %d MiB, which is no .torrent file", host, metainfo.MaxSize>>20)
	}
	if sum := sha256.Sum256(body); from.SHA256 != "" && !strings.EqualFold(from.SHA256, hex.EncodeToString(sum[:])) {
		return nil, download.FailForGood(download.ReasonChecksumMismatch, "the .torrent file from %s has SHA-256 %x and not the pinned one; check both", host, sum)
	}
	return ReadMetainfo(body)
}

// fetcher returns a client with from's headers and bounds on redirects.
func fetcher(web *transport.HTTP, from download.URL) *http.Client {
	keys := transport.NewKeyring(web, []download.Credential{{Origin: from.Address, Headers: from.Headers}})
	return &http.Client{Transport: keys, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= fetchRedirects {
			return fmt.Errorf("stopped after %d redirects", fetchRedirects)
		}
		req.Header.Del("Referer") // Its path or query may be a passkey.
		return nil
	}}
}

// fetchFailure drops the URL that net/http puts into its errors.
func fetchFailure(host string, err error) error {
	var denied *transport.DeniedError
	if errors.As(err, &denied) {
		return download.FailForGood(download.ReasonAddressDenied, "%v", denied)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return download.Fail(download.ReasonMetainfoUnavailable, "can't fetch the .torrent file from %s: %v", host, err)
}
