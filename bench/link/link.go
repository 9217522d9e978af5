// Package link emulates a path through a network, for measuring what delay and
// loss do to programs: it joins two network namespaces by a tun device in each
// and carries the IPv4 packets between them in user space, late, limited to a
// rate, and not all of them. It works where the kernel has no netem.
//
// The namespaces have no names: they end with the process that made them, even
// if it is killed, and with the last program that still runs in them.
package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// mtu is the size of the largest packet in bytes. Devices of this package
// never see larger ones: the kernel segments before.
const mtu = 1500

// ErrUnavailable says that this process can't make a link. What it wraps says
// what is missing.
var ErrUnavailable = errors.New("no link can be emulated here")

// Config describes both directions of a link.
type Config struct {
	Delay          time.Duration // Of one direction; a round trip takes twice as long.
	Loss           float64       // The part of packets that is lost in each direction, 0 to 1.
	Seed           uint64        // Decides which packets those are: in one direction, the same for the same seed.
	BytesPerSecond int64         // Of one direction, with IP headers.
	Queue          int64         // Bytes that may wait in each direction. Of what comes on top, all is dropped.
}

func (c Config) check() error {
	switch {
	case c.Delay < 0:
		return fmt.Errorf("link: a delay of %v is negative", c.Delay)
	case !(c.Loss >= 0 && c.Loss <= 1):
		return fmt.Errorf("link: a loss of %v is not between 0 and 1", c.Loss)
	case c.BytesPerSecond <= 0:
		return fmt.Errorf("link: nothing passes at %d bytes a second", c.BytesPerSecond)
	case c.Queue < mtu:
		return fmt.Errorf("link: a queue of %d bytes has no room for a packet, which has up to %d", c.Queue, mtu)
	}
	return nil
}

// Link joins two namespaces.
type Link struct {
	A, B End

	carrier *carrier
	wake    int // An eventfd that ends the carrier.
	ended   chan struct{}
	err     error // Of the carrier, once it has ended.
	close   func() error
}

// End is the namespace at one end of a link. It has a loopback device and the
// device of the link, and reaches nothing else.
type End struct {
	Addr netip.Addr // At which the other end reaches this one.

	namespace int // File descriptors.
	device    int
}

// New makes a link that lasts until Close, or until ctx is done. It needs root
// and /dev/net/tun; where they are missing the error is ErrUnavailable.
func New(ctx context.Context, c Config) (*Link, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		return nil, fmt.Errorf("link: %w: install nsenter (Debian: util-linux): %w", ErrUnavailable, err)
	}
	// Addresses that are set apart for measuring devices (RFC 2544, C.2.2).
	a, b := netip.AddrFrom4([4]byte{198, 18, 0, 1}), netip.AddrFrom4([4]byte{198, 18, 0, 2})
	endA, err := newEnd(a, b)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	endB, err := newEnd(b, a)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("link: %w", err), endA.close())
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("link: making an eventfd: %w", err), endA.close(), endB.close())
	}
	l := &Link{A: endA, B: endB, carrier: newCarrier(c, endA.device, endB.device, wake), wake: wake, ended: make(chan struct{})}
	l.close = sync.OnceValue(l.end)
	go func() {
		defer close(l.ended)
		l.err = l.carrier.run()
	}()
	context.AfterFunc(ctx, func() { _ = l.close() }) // Close returns the error.
	return l, nil
}

// Close removes the link and returns why it failed before, if it did: then
// what was measured over it is void. Programs that still run in its namespaces
// reach each other no more. It may be called twice.
func (l *Link) Close() error { return l.close() }

func (l *Link) end() error {
	_, err := unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	if err != nil {
		return fmt.Errorf("link: telling the carrier to end: %w", err)
	}
	<-l.ended
	return errors.Join(l.err, unix.Close(l.wake), l.A.close(), l.B.close())
}

// Command returns a command that runs a program in the namespace of this end.
// The program replaces the one that enters the namespace, so its process id,
// signals and exit code are its own. If it can't be found, the exit code is
// 127 and standard error says so.
func (e End) Command(ctx context.Context, argv ...string) *exec.Cmd {
	namespace := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), e.namespace)
	return exec.CommandContext(ctx, "nsenter", append([]string{namespace, "--"}, argv...)...)
}

func (e End) close() error { return errors.Join(unix.Close(e.device), unix.Close(e.namespace)) }
