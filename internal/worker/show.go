package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/net/netutil"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// maxLookers bounds the connections of those who look closely, at once.
const maxLookers = 8

// ListenDetail listens on a port of the loopback, and nowhere else: whoever
// reaches it is in the Pod, or was led there by the API server, which asks for
// the right to forward ports to the Pod. 0 is any port.
func ListenDetail(ctx context.Context, port int) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("the download can't be looked at closely: %w", err)
	}
	return l, nil
}

// show lets the download be looked at until the returned function is called.
func (w *worker) show() (end func()) {
	if w.Detail == nil {
		return func() {}
	}
	inspector, ok := w.Executor.(download.Inspector)
	if !ok {
		return func() { w.Detail.Close() }
	}
	server := report.DetailServer(func(ctx context.Context) (download.Detail, error) { return inspector.Inspect(ctx, w.Order.ID) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(netutil.LimitListener(w.Detail, maxLookers)); !errors.Is(err, http.ErrServerClosed) {
			w.log.Warn("the download can't be looked at closely any more", "error", err)
		}
	}()
	return func() {
		server.Close()
		<-ended
	}
}
