package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
)

// SeedConfig says what to serve, and to whom.
type SeedConfig struct {
	Torrent string // The .torrent file.
	Dir     string // The folder that holds the payload under its name.
	// Repeat is the period in bytes, a multiple of 16 KiB, with which the one
	// file of the torrent repeats: no more than the first period has to be
	// there. 0 if it does not.
	Repeat int64

	Dial   []string   // Peers to serve, "host:port". Each is dialed again whenever its connection ends.
	From   netip.Addr // The address of this side when it dials; the system chooses if it is the zero value.
	Listen string     // The "host:port" at which peers are served that dial; "" for none.

	Limit int64     // Bytes a second for each connection; 0 for no limit.
	Out   io.Writer // Gets the lines.
}

// Seed serves a payload until ctx ends, and returns nil then. It unchokes
// whoever is interested, and answers requests in their order. It writes these
// lines:
//
//	first <Unix time in nanoseconds>  The first request of all has arrived.
//	lost <error>                      A connection broke on which there were requests.
//	sent <bytes>                      The last line: how much payload was sent.
func Seed(ctx context.Context, c SeedConfig) error {
	t, err := readTorrent(c.Torrent)
	if err != nil {
		return err
	}
	p, err := mapPayload(t, c.Dir, c.Repeat)
	if err != nil {
		return err
	}
	defer p.close()
	s := &source{torrent: t, payload: p, lines: &lines{out: c.Out}}
	var peers sync.WaitGroup
	defer func() {
		peers.Wait()
		s.lines.say("sent %d", s.sent.Load())
	}()
	for _, address := range c.Dial {
		peers.Go(func() {
			for s.dial(ctx, address, c) == nil {
			}
		})
	}
	if c.Listen == "" {
		<-ctx.Done()
		return nil
	}
	return listen(ctx, c.Listen, func(conn net.Conn) {
		peers.Go(func() {
			if socket, fast, err := t.answer(ctx, conn); err == nil {
				s.serve(ctx, s.upload(socket, fast, nil), c.Limit)
			}
		})
	})
}

// dial reaches a peer and serves it once. The error is that of ctx.
func (s *source) dial(ctx context.Context, address string, c SeedConfig) error {
	socket, fast, err := s.connect(ctx, address, c.From)
	if err != nil {
		return err
	}
	s.serve(ctx, s.upload(socket, fast, nil), c.Limit)
	return sleep(ctx, retry)
}

// serve serves a connection to its end.
func (s *source) serve(ctx context.Context, u *upload, limit int64) {
	defer u.socket.close()
	var err error
	if limit > 0 {
		err = u.trickle(ctx, limit)
	} else {
		err = u.serve()
	}
	if u.requested && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		s.lines.say("lost %v", err)
	}
}

// listen gives every connection to an address to accepted, until ctx ends.
func listen(ctx context.Context, address string, accepted func(net.Conn)) error {
	config := net.ListenConfig{Control: unpaced}
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("accept a connection: %w", err)
		}
		accepted(conn)
	}
}
