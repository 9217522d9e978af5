package worker

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/download/downloadtest"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// inspected is a fake that can be looked at closely.
type inspected struct{ *downloadtest.Fake }

func (inspected) Inspect(_ context.Context, asked download.ID) (download.Detail, error) {
	if asked != id {
		return download.Detail{}, download.ErrUnknown
	}
	return download.Detail{Progress: download.Progress{State: download.StateDownloading}, Active: []int{7}}, nil
}

func TestAWorkerIsLookedAtOnTheLoopbackAlone(t *testing.T) {
	l, err := ListenDetail(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
		t.Errorf("it listens at %s", at)
	}
	if again, err := ListenDetail(t.Context(), l.Addr().(*net.TCPAddr).Port); err == nil {
		again.Close()
		t.Error("a port that is taken was listened at")
	}
}

func TestAWorkerCanBeLookedAtAsLongAsItRuns(t *testing.T) {
	w := newWorld(t, report.Download, downloadtest.Pending)
	w.Config.Executor = inspected{w.Fake}
	var err error
	if w.Detail, err = ListenDetail(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	at := "http://" + w.Detail.Addr().String() + report.DetailPath
	ctx, end := context.WithCancel(t.Context())
	go func() {
		defer close(w.done)
		w.code, w.err = Run(ctx, w.Config)
	}()
	w.end = end
	answer, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, answer.ContentLength)
	if _, err := answer.Body.Read(b); err != nil && err.Error() != "EOF" {
		t.Fatal(err)
	}
	if d, err := report.DecodeDetail(b); err != nil || len(d.Active) != 1 || d.Active[0] != 7 {
		t.Errorf("it shows %+v, %v", d, err)
	}
	end()
	<-w.done
	if _, err := http.Get(at); err == nil {
		t.Error("it is shown after its end")
	}
}
