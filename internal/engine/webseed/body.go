package webseed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/limiter"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// body reads a stretch of the torrent from the server, one file after another.
// It asks for as much of each file as lies in the stretch; or, of a server that
// knows no ranges, for each file whole.
type body struct {
	c       *Conn
	at, end int64 // What is read next, and where the stretch ends.
	whole   bool

	span    metainfo.Span // What remains of the file in which at is.
	open    *answer       // Reads that file; nil if it was not asked for.
	scratch []byte
}

// answer is the body of one answer of the server.
type answer struct {
	body   io.ReadCloser
	left   int64 // Bytes that it has yet.
	got    int64 // Bytes that were read.
	timer  *time.Timer
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// errEnded is the cause of the end of a request that was over anyway.
var errEnded = errors.New("the request is over")

// read fills p, of at most one block, in good time.
func (a *answer) read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), a.left)]
	a.timer.Reset(patience)
	n, err := io.ReadFull(a.body, p)
	a.timer.Stop()
	a.left, a.got = a.left-int64(n), a.got+int64(n)
	if err != nil && a.ctx.Err() != nil {
		return n, context.Cause(a.ctx)
	}
	return n, err
}

func (a *answer) close() {
	a.timer.Stop()
	a.cancel(errEnded)
	a.body.Close()
}

// close gives up the file that is being read, if there is one.
func (b *body) close() {
	if b.open != nil {
		b.open.close()
		b.open = nil
	}
}

// next finds out in which file the next byte is. There must be one.
func (b *body) next() {
	if b.span.Length > 0 {
		return
	}
	b.close()
	for b.span = range b.c.seed.info.Spans(b.at, b.end-b.at) {
		break
	}
}

// advance passes over n bytes of the file.
func (b *body) advance(n int64) {
	b.at += n
	b.span.Offset += n
	b.span.Length -= n
}

// fill reads the next bytes into p, which is one block at most.
func (b *body) fill(p []byte) error {
	for len(p) > 0 {
		b.next()
		n := int(min(int64(len(p)), b.span.Length))
		if b.c.seed.info.Files[b.span.File].Pad {
			clear(p[:n])
			b.advance(int64(n))
		} else if err := b.read(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// skip passes over the next n bytes. It reads them only where that is the way to
// what comes behind.
func (b *body) skip(n int64) error {
	for n > 0 {
		b.next()
		k := min(n, b.span.Length)
		if b.open != nil && k == b.span.Length && k > skipWorth {
			b.close()
		}
		if b.open == nil {
			b.advance(k)
		} else if err := b.discard(k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// discard reads n bytes of the file that nobody wants.
func (b *body) discard(n int64) error {
	for n > 0 {
		k := min(n, block.Size)
		if err := b.read(b.room()[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// room returns a block of memory for what nobody wants.
func (b *body) room() []byte {
	if b.scratch == nil {
		b.scratch = make([]byte, block.Size)
	}
	return b.scratch
}

// read fills p with the next bytes of the file. An answer that breaks off after
// a while is gone on with by another request.
func (b *body) read(p []byte) error {
	for len(p) > 0 {
		if b.open == nil {
			if err := b.ask(); err != nil {
				return err
			}
		}
		n, err := b.some(p)
		b.advance(int64(n))
		p = p[n:]
		if err != nil && (b.open == nil || b.whole || b.open.got < block.Size) {
			return err
		}
		if err != nil || b.open.left == 0 {
			b.close()
		}
	}
	return nil
}

// some reads what the answer has of the next bytes. If it is of no more use, it
// is closed.
func (b *body) some(p []byte) (int, error) {
	if err := b.pay(len(p)); err != nil {
		return 0, err
	}
	a := b.open
	n, err := a.read(p)
	if err == nil {
		return n, nil
	}
	if a.ctx.Err() != nil {
		b.close()
	} else {
		err = fmt.Errorf("its answer broke off after %d of %d bytes: %w", a.got, a.got+a.left, err)
	}
	return n, b.c.seed.broken(err)
}

// pay waits until n bytes may be received. It waits for little at once, so that a
// limit can be changed at any time.
func (b *body) pay(n int) error {
	for all := limiter.All(b.c.seed.down); n > 0; {
		k := all.Slice(n)
		for _, l := range all {
			if err := l.WaitN(b.c.ctx, k); err != nil {
				return fmt.Errorf("waiting for the download limit: %w", err)
			}
		}
		n -= k
	}
	return nil
}

// ask asks for the file in which the next byte is.
func (b *body) ask() error {
	a, err := b.c.seed.get(b.c.ctx, b.span, b.whole)
	if err != nil {
		return err
	}
	b.open = a
	if !b.whole {
		b.c.mu.Lock()
		b.c.news.Broadcast() // It may be known now that there are ranges.
		b.c.mu.Unlock()
		return nil
	}
	for before := b.span.Offset; before > 0; { // The way to what is wanted.
		n, err := b.some(b.room()[:min(before, block.Size)])
		if err != nil {
			return err
		}
		before -= int64(n)
	}
	return nil
}
