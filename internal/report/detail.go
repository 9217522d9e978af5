package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Where a worker shows its download closely, to whoever may have the API server
// forward a port to its Pod: it listens on the loopback of the Pod alone.
const (
	DetailPort = 9881
	DetailPath = "/v1/detail"
)

// DetailHandler answers a GET of [DetailPath] with what inspect says, and
// nothing else. Requests beyond [maxLooks] at once are told to come again.
func DetailHandler(inspect func(context.Context) (download.Detail, error)) http.Handler {
	looks := make(chan struct{}, maxLooks)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+DetailPath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case looks <- struct{}{}:
			defer func() { <-looks }()
		default:
			http.Error(w, "others are looking at it; try again", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), lookTimeout)
		defer cancel()
		d, err := inspect(ctx)
		if err != nil {
			code := http.StatusInternalServerError
			if errors.Is(err, download.ErrUnknown) {
				code = http.StatusNotFound
			}
			http.Error(w, err.Error(), code)
			return
		}
		b, err := EncodeDetail(d)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // Whoever asked is gone, else.
	})
	return mux
}

// DetailServer is the server for a worker's loopback, within its limits.
func DetailServer(inspect func(context.Context) (download.Detail, error)) *http.Server {
	return &http.Server{
		Handler: DetailHandler(inspect), MaxHeaderBytes: maxHeaders,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: 2 * lookTimeout, IdleTimeout: idleTimeout,
	}
}

// EncodeDetail makes JSON of a detail. Lists that are too long are cut, and so
// is what would make it longer than [MaxDetail]: files first.
func EncodeDetail(d download.Detail) ([]byte, error) {
	d = saneDetail(d)
	if err := checkProgress(d.Progress); err != nil {
		return nil, err
	}
	b, err := encode(d)
	for err == nil && len(b) > MaxDetail && len(d.Files) > 0 {
		d.Files = d.Files[:len(d.Files)/2]
		b, err = encode(d)
	}
	if err == nil && len(b) > MaxDetail {
		err = fmt.Errorf("the detail has %d bytes, and %d are the most", len(b), MaxDetail)
	}
	return b, err
}

// DecodeDetail reads a detail. Whoever made it, no number in it is one that it
// can't be, and no list is longer than this package says. What is text comes
// from strangers.
func DecodeDetail(b []byte) (download.Detail, error) {
	var w wireDetail
	if err := decode("a detail", b, MaxDetail, &w); err != nil {
		return download.Detail{}, err
	}
	d := w.Detail
	d.Progress, d.Active, d.Peers, d.Files = w.Progress.value(), w.Active, w.Peers, w.Files
	d = saneDetail(d)
	return d, checkProgress(d.Progress)
}

// wireDetail is read with its lists bounded.
type wireDetail struct {
	download.Detail
	Progress wireProgress
	Active   pieceList
	Peers    list[download.Peer]
	Files    fileList
}

type (
	pieceList []int
	fileList  []download.File
)

// UnmarshalJSON implements [json.Unmarshaler].
func (l *pieceList) UnmarshalJSON(b []byte) (err error) {
	*l, err = readList[int](b, MaxActive)
	return err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *fileList) UnmarshalJSON(b []byte) (err error) {
	*l, err = readList[download.File](b, MaxFiles)
	return err
}

var _ json.Unmarshaler = (*fileList)(nil)

// saneDetail returns a detail within the bounds of this package.
func saneDetail(d download.Detail) download.Detail {
	d.Progress = sane(d.Progress)
	d.Active = slices.DeleteFunc(slices.Clone(d.Active[:min(len(d.Active), MaxActive)]), func(i int) bool {
		return i < 0 || i >= math.MaxInt32
	})
	d.Peers = slices.Clone(d.Peers[:min(len(d.Peers), MaxList)])
	for i := range d.Peers {
		p := &d.Peers[i]
		p.Since, p.Pieces = saneTime(p.Since), between(0, p.Pieces, math.MaxInt32)
		for _, n := range []*int64{&p.Downloaded, &p.Uploaded, &p.DownloadBytesPerSecond, &p.UploadBytesPerSecond} {
			*n = max(0, *n)
		}
	}
	d.FileCount = max(d.FileCount, len(d.Files))
	d.Files = slices.Clone(d.Files[:min(len(d.Files), MaxFiles)])
	for i := range d.Files {
		f := &d.Files[i]
		f.Size = max(0, f.Size)
		f.Verified = between(0, f.Verified, f.Size)
	}
	return d
}
