package client

import (
	"io"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/report"
)

// line is a line to somebody who says always the same.
type line struct {
	io.Reader
	io.Writer
	heard int // Bytes.
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	l.heard += n
	return n, err
}

func TestAPodThatNeverEndsItsAnswerIsNotHeardToTheEnd(t *testing.T) {
	const most = maxFrame + report.MaxDetail + 1
	header := "X-Padding: " + strings.Repeat("0", 1000) + "\r\n"
	endless := strings.Repeat(header, 2*most/len(header))
	for what, begin := range map[string]string{"header": "", "body": "\r\n"} {
		l := &line{Reader: strings.NewReader("HTTP/1.1 200 OK\r\n" + begin + endless), Writer: io.Discard}
		if b, err := get(t.Context(), l); l.heard > most || len(b) > report.MaxDetail+1 {
			t.Errorf("an endless %s: %d bytes are read and %d kept: %v", what, l.heard, len(b), err)
		}
	}
}
