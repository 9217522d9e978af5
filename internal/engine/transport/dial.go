package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// connect connects to a peer over TCP, and over uTP too if that has not come
// about after headStart, or has failed. The first of both counts.
func (t *Transport) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if t.utp == nil {
		return t.connectTCP(ctx, addr)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // The slower one is hung up on.
	type result struct {
		conn net.Conn
		err  error
	}
	tcp, utp := make(chan result, 1), make(chan result, 1)
	go func() {
		conn, err := t.connectTCP(ctx, addr)
		tcp <- result{conn, err}
	}()
	head := time.NewTimer(headStart)
	defer head.Stop()
	hangUp := func(slower <-chan result) {
		if r := <-slower; r.err == nil {
			r.conn.Close()
		}
	}
	var first result
	running, begun := 1, false
	begin := func() {
		if !begun {
			begun = true
			running++
			go func() {
				conn, err := t.connectUTP(ctx, addr)
				utp <- result{conn, err}
			}()
		}
	}
	var errs []error
	for running > 0 {
		other := utp
		select {
		case <-head.C:
			begin()
			continue
		case first = <-tcp:
			var denied *DeniedError
			if first.err != nil && ctx.Err() == nil && !errors.As(first.err, &denied) {
				begin()
			}
		case first = <-utp:
			other = tcp
		}
		running--
		if first.err == nil {
			if running > 0 {
				cancel()
				go hangUp(other)
			}
			return first.conn, nil
		}
		errs = append(errs, first.err)
	}
	return nil, errors.Join(errs...)
}

func (t *Transport) connectTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1, Control: t.cfg.Guard.Control}
	return d.DialContext(ctx, "tcp", addr.String())
}

func (t *Transport) connectUTP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if err := t.cfg.Guard.Check(addr.Addr()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, utpTimeout)
	defer cancel()
	conn, err := t.utp.Dial(ctx, addr)
	if err != nil {
		return nil, err // Not a nil *utp.Conn in an interface.
	}
	return conn, nil
}
