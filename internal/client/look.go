package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// ErrNoDetail is matched by the errors of [Client.Look] and [Look.Detail] where
// a download can't be looked at closely. Their text is the reason, for a
// person; the status of the object is what there is to show.
var ErrNoDetail = errors.New("no detail")

// noDetailError is an [ErrNoDetail] with its reason.
type noDetailError struct {
	reason string
	cause  error // nil if there is none.
}

func (e *noDetailError) Error() string { return e.reason }
func (e *noDetailError) Unwrap() error { return e.cause }

// Is implements what errors.Is asks for.
func (e *noDetailError) Is(target error) bool { return target == ErrNoDetail }

// maxFrame is how many bytes an answer of a worker has besides its body.
const maxFrame = 64 << 10

// Look is a line to the worker of one download, through the API server, for as
// many looks as a person takes. It may be used by many goroutines at once.
type Look struct {
	pod  string
	line httpstream.Connection

	mu   sync.Mutex
	next int // Number of the next request on the line.
}

// Detail looks once at a download. See [Client.Look].
func (c *Client) Detail(ctx context.Context, td *v1alpha1.TorrentDownload) (download.Detail, error) {
	l, err := c.Look(ctx, td)
	if err != nil {
		return download.Detail{}, err
	}
	defer l.Close()
	return l.Detail(ctx)
}

// Look opens a line to the Pod in which a download runs. It takes the right to
// create pods/portforward in the namespace. Errors match [ErrNoDetail], but for
// that of ctx.
func (c *Client) Look(ctx context.Context, td *v1alpha1.TorrentDownload) (*Look, error) {
	pod := td.Status.Worker.PodName
	if pod == "" {
		return nil, &noDetailError{reason: whyNoPod(td)}
	}
	dialer, err := c.dialer(td.Namespace, pod)
	if err != nil {
		return nil, err
	}
	type dialed struct {
		line httpstream.Connection
		err  error
	}
	done := make(chan dialed)
	go func() { // It can't be ended by a context.
		line, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		select {
		case done <- dialed{line, err}:
		case <-ctx.Done():
			if err == nil {
				line.Close()
			}
		}
	}()
	select {
	case d := <-done:
		if d.err != nil {
			return nil, &noDetailError{whyNoLine(pod, d.err), d.err}
		}
		return &Look{pod: pod, line: d.line}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// whyNoPod says why there is no Pod to look into.
func whyNoPod(td *v1alpha1.TorrentDownload) string {
	switch v := Describe(td); v.State {
	case v1alpha1.ReasonComplete:
		return "It is complete and at rest, so nothing of it runs that could show more."
	case v1alpha1.ReasonSuspended:
		return "It is suspended, so nothing of it runs that could show more."
	}
	return "It has no Pod of its own that could show more: it waits, or runs in the operator itself."
}

func whyNoLine(pod string, err error) string {
	switch {
	case apierrors.IsForbidden(err), strings.Contains(err.Error(), "forbidden"):
		return "To see more you need the right to create pods/portforward in its namespace."
	case apierrors.IsNotFound(err), strings.Contains(err.Error(), "not found"):
		return fmt.Sprintf("Its Pod %s is gone, and the next one is not there yet.", pod)
	}
	return fmt.Sprintf("Its Pod %s can't be looked into: %v", pod, err)
}

// dialer reaches the port-forward of a Pod, by websockets or, where a proxy
// does not let them pass, by SPDY.
func (c *Client) dialer(namespace, pod string) (httpstream.Dialer, error) {
	core, err := c.core()
	if err != nil {
		return nil, err
	}
	at := core.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, c.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(tunnel, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// Close ends the line.
func (l *Look) Close() { l.line.Close() }

// Detail asks the worker. Errors match [ErrNoDetail], but for that of ctx;
// after one a new line is needed.
func (l *Look) Detail(ctx context.Context) (download.Detail, error) {
	d, err := l.ask(ctx)
	if err == nil {
		return d, nil
	}
	if ctx.Err() != nil {
		return d, ctx.Err()
	}
	return d, &noDetailError{fmt.Sprintf("Its Pod %s does not show more: %v", l.pod, err), err}
}

func (l *Look) ask(ctx context.Context) (d download.Detail, err error) {
	l.mu.Lock()
	id := strconv.Itoa(l.next)
	l.next++
	l.mu.Unlock()
	trouble, err := l.stream(id, corev1.StreamTypeError)
	if err != nil {
		return d, err
	}
	defer l.line.RemoveStreams(trouble)
	trouble.Close() // This end says nothing on it.
	data, err := l.stream(id, corev1.StreamTypeData)
	if err != nil {
		return d, err
	}
	defer l.line.RemoveStreams(data)
	hangUp := func() {
		_ = data.Reset()
		_ = trouble.Reset()
	}
	defer context.AfterFunc(ctx, hangUp)()
	defer hangUp()

	body, err := get(ctx, data)
	if err != nil {
		if said, _ := io.ReadAll(io.LimitReader(trouble, 1<<10)); len(said) > 0 {
			err = errors.New(string(bytes.TrimSpace(said)))
		}
		return d, err
	}
	return report.DecodeDetail(body)
}

// stream opens one of the two streams of a forwarded connection.
func (l *Look) stream(id, kind string) (httpstream.Stream, error) {
	h := http.Header{}
	h.Set(corev1.StreamType, kind)
	h.Set(corev1.PortHeader, strconv.Itoa(report.DetailPort))
	h.Set(corev1.PortForwardRequestIDHeader, id)
	return l.line.CreateStream(h)
}

// get asks for the detail over a connection, and returns its body.
func get(ctx context.Context, conn io.ReadWriter) ([]byte, error) {
	request := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "localhost", Path: report.DetailPath}, Host: "localhost", Close: true,
	}).WithContext(ctx)
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	// The Pod may be anybody's, and a header has no limit of its own.
	bounded := io.LimitReader(conn, maxFrame+report.MaxDetail+1)
	response, err := http.ReadResponse(bufio.NewReader(bounded), request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, report.MaxDetail+1))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", response.Status, bytes.TrimSpace(b))
	}
	return b, err
}
