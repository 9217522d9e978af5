package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// A worker may have been taken over by those whom it reads from.
func TestADetailIsMadeSane(t *testing.T) {
	d, err := DecodeDetail([]byte(`{"Progress": {"State": "Downloading", "BytesTotal": 5, "BytesVerified": 9, "Pieces": {"Total": 3, "Have": "AAAA"}},
		"Active": [-1, 2, 9223372036854775807], "Peers": [{"Downloaded": -1, "Pieces": -5, "Since": "2026-01-02T03:04:05+01:00"}],
		"Files": [{"Size": -3}, {"Size": 10, "Verified": 11}], "FileCount": -7}`))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case d.Progress.BytesVerified != 5 || d.Progress.Pieces.Have != nil:
		t.Errorf("progress is %+v", d.Progress)
	case len(d.Active) != 1 || d.Active[0] != 2:
		t.Errorf("active pieces are %v", d.Active)
	case d.Peers[0].Downloaded != 0 || d.Peers[0].Pieces != 0 || d.Peers[0].Since.Hour() != 2:
		t.Errorf("the peer is %+v", d.Peers[0])
	case d.Files[0].Size != 0 || d.Files[1].Verified != 10 || d.FileCount != 2:
		t.Errorf("of %d files these are told: %+v", d.FileCount, d.Files)
	}
}

func TestTheListsOfADetailAreBounded(t *testing.T) {
	d := download.Detail{Progress: someProgress()}
	for range MaxList + 1 {
		d.Peers = append(d.Peers, download.Peer{})
	}
	for i := range MaxActive + 1 {
		d.Active = append(d.Active, i)
	}
	for i := range MaxFiles + 1 {
		d.Files = append(d.Files, download.File{Path: fmt.Sprint(i)})
	}
	b, err := EncodeDetail(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{b, unbounded(t, d)} {
		got, err := DecodeDetail(form)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Peers) != MaxList || len(got.Active) != MaxActive || len(got.Files) != MaxFiles {
			t.Errorf("%d peers, %d pieces and %d files are read", len(got.Peers), len(got.Active), len(got.Files))
		}
	}
	if got, _ := DecodeDetail(b); got.FileCount != MaxFiles+1 {
		t.Errorf("there are said to be %d files", got.FileCount)
	}
}

// unbounded is the JSON of somebody who keeps to no limit.
func unbounded(t *testing.T, d download.Detail) []byte {
	t.Helper()
	b, err := encode(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestADetailThatIsTooLongLosesFiles(t *testing.T) {
	d := download.Detail{Progress: someProgress()}
	for range MaxFiles {
		d.Files = append(d.Files, download.File{Path: strings.Repeat("x", 4096)})
	}
	b, err := EncodeDetail(d)
	if err != nil || len(b) > MaxDetail {
		t.Fatalf("%d bytes and %v", len(b), err)
	}
	got, err := DecodeDetail(b)
	if err != nil || len(got.Files) == 0 || got.FileCount != MaxFiles {
		t.Errorf("%d of %d files are left: %v", len(got.Files), got.FileCount, err)
	}
	for size, fits := range map[int]bool{MaxDetail: true, MaxDetail + 1: false} {
		form := append([]byte(`{"Progress": {"State": "Downloading"}}`), bytes.Repeat([]byte(" "), size)...)
		if _, err := DecodeDetail(form[:size]); (err == nil) != fits {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func ask(h http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	b, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(b)
}

func TestAWorkerShowsItsDownloadAndNothingElse(t *testing.T) {
	h := DetailHandler(func(context.Context) (download.Detail, error) { return someDetail(), nil })
	code, body := ask(h, http.MethodGet, DetailPath)
	got, err := DecodeDetail([]byte(body))
	if d := cmp.Diff(someDetail(), got); code != http.StatusOK || err != nil || d != "" {
		t.Errorf("%d, %v: %s", code, err, d)
	}
	for _, c := range [][2]string{{http.MethodPost, DetailPath}, {http.MethodGet, "/"}, {http.MethodGet, DetailPath + "/x"}, {http.MethodGet, "/debug/pprof/"}} {
		if code, body := ask(h, c[0], c[1]); code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
			t.Errorf("%v is answered with %d %q", c, code, body)
		}
	}
}

func TestWhatAWorkerCantShowItSays(t *testing.T) {
	for want, err := range map[int]error{http.StatusNotFound: download.ErrUnknown, http.StatusInternalServerError: errors.New("disk on fire")} {
		h := DetailHandler(func(context.Context) (download.Detail, error) { return download.Detail{}, err })
		if code, body := ask(h, http.MethodGet, DetailPath); code != want || !strings.Contains(body, err.Error()) {
			t.Errorf("%v is answered with %d %q", err, code, body)
		}
	}
	h := DetailHandler(func(context.Context) (download.Detail, error) {
		return download.Detail{Progress: download.Progress{State: download.StateFailed, Checked: math.NaN()}}, nil
	})
	if code, _ := ask(h, http.MethodGet, DetailPath); code != http.StatusInternalServerError {
		t.Errorf("a snapshot that is none is answered with %d", code)
	}
}

// More at once would make of looking a burden.
func TestFewLookAtOnce(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	h := DetailHandler(func(context.Context) (download.Detail, error) {
		inside <- struct{}{}
		<-leave
		return someDetail(), nil
	})
	codes := make(chan int)
	for range maxLooks {
		go func() {
			code, _ := ask(h, http.MethodGet, DetailPath)
			codes <- code
		}()
		<-inside
	}
	if code, _ := ask(h, http.MethodGet, DetailPath); code != http.StatusServiceUnavailable {
		t.Errorf("one more is answered with %d", code)
	}
	close(leave)
	for range maxLooks {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("one who was in time is answered with %d", code)
		}
	}
}
