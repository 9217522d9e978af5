package light

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// LeechConfig says what to fetch, and from whom.
type LeechConfig struct {
	Torrent string // The .torrent file.
	Address string // The peer to dial, "host:port", which has all or will have.

	// Connections is how many peers this is. Each fetches all of the torrent.
	Connections int
	// From is the address of the first of them, the next has the address
	// after that, and so on: many clients serve one peer an address. The
	// system chooses if it is the zero value.
	From netip.Addr

	Pipeline int       // Requests that are on their way at most, for each; 0 for 256.
	Verify   bool      // Whether to check every piece against its hash, at the cost of that.
	Out      io.Writer // Gets the lines.
}

// Leech fetches a torrent and throws it away. It returns nil when every
// connection has got all of it, and an error when ctx ends before, or when a
// piece does not match its hash. It writes these lines:
//
//	first <Unix time in nanoseconds>         The first block of all has arrived.
//	lost <error>                             A connection ended too early; it is made again, and what has come counts.
//	done <Unix time in nanoseconds> <bytes>  All connections have all, that many bytes in sum.
func Leech(ctx context.Context, c LeechConfig) error {
	if c.Connections < 1 {
		return fmt.Errorf("a download over %d connections: give 1 at least", c.Connections)
	}
	t, err := readTorrent(c.Torrent)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &lines{out: c.Out}
	var first sync.Once
	var bytes atomic.Int64
	var all sync.WaitGroup
	from := c.From
	for range c.Connections {
		d := newDownload(t, cmp.Or(c.Pipeline, 256), c.Verify)
		d.began = func() {
			first.Do(func() { out.say("first %d", time.Now().UnixNano()) })
		}
		address := from
		all.Go(func() {
			if err := d.run(ctx, c.Address, address, out); err != nil {
				cancel(err)
			}
			bytes.Add(d.bytes)
		})
		if from.IsValid() {
			from = from.Next()
		}
	}
	all.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("fetch %s: %w", t.info.Name, context.Cause(ctx))
	}
	out.say("done %d %d", time.Now().UnixNano(), bytes.Load())
	return nil
}

// run fetches the torrent over as many connections, one after another, as it
// takes.
func (d *download) run(ctx context.Context, address string, from netip.Addr, out *lines) error {
	for {
		socket, fast, err := d.connect(ctx, address, from)
		if err != nil {
			return err
		}
		err = d.session(socket, fast)
		socket.close()
		if err == nil || d.wrong != nil {
			return d.wrong
		}
		if ctx.Err() == nil {
			out.say("lost %v", err)
		}
		if err := sleep(ctx, retry); err != nil {
			return err
		}
	}
}
