package link

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many packets are read from, or written to, a device before the
// others have their turn.
const batch = 64

// grain is how long the carrier rests between looking at its devices while
// packets are on their way and none is due, so that it finds several at once, as
// network cards do. It makes a round trip longer by up to four times as much,
// and saves a fifth of the carrier's CPU time.
const grain = 100 * time.Microsecond

// carrier carries packets between two devices. One thread owns it all but for
// the counts.
type carrier struct {
	ways [2]way
	poll [3]unix.PollFd // The devices, in the order of ways, and what ends the carrier.
}

// way is one direction.
type way struct {
	from, to int // File descriptors of devices.
	path     path
	flight   flight
	counts   counts
}

// counts are what Counts shows of a direction.
type counts struct{ packets, bytes, lost, dropped, late atomic.Int64 }

// Stats are the counts of both directions.
type Stats struct{ AB, BA Counts }

// Counts say what became of the packets that went one way.
type Counts struct {
	Packets int64         // Delivered.
	Bytes   int64         // Of these, with IP headers.
	Lost    int64         // By chance. In packets.
	Dropped int64         // Because the queue was full. In packets.
	Late    time.Duration // How long after its time a packet was delivered, on average. Much more than 1 ms means that this machine was too busy.
}

// Stats returns the counts so far. They stay readable after Close.
func (l *Link) Stats() Stats {
	return Stats{AB: l.carrier.ways[0].counts.read(), BA: l.carrier.ways[1].counts.read()}
}

func (c *counts) read() Counts {
	n := c.packets.Load()
	return Counts{
		Packets: n, Bytes: c.bytes.Load(), Lost: c.lost.Load(), Dropped: c.dropped.Load(),
		Late: time.Duration(c.late.Load() / max(1, n)),
	}
}

func newCarrier(c Config, a, b, wake int) *carrier {
	return &carrier{
		ways: [2]way{{from: a, to: b, path: newPath(c, 0)}, {from: b, to: a, path: newPath(c, 1)}},
		poll: [3]unix.PollFd{{Fd: int32(a), Events: unix.POLLIN}, {Fd: int32(b), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}},
	}
}

// run carries packets until it is told to end or a device fails.
func (c *carrier) run() error {
	// A path doesn't wait for the programs that use it, so this thread goes
	// before them. If it may not, Counts.Late tells what that did. It stays
	// locked, so that its priority ends with it.
	runtime.LockOSThread()
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
	start := time.Now()
	for {
		if err := c.wait(start); err != nil {
			return err
		}
		if c.poll[2].Revents != 0 {
			return nil
		}
		for i := range c.ways {
			if c.poll[i].Revents == 0 {
				continue
			}
			if err := c.ways[i].accept(time.Since(start)); err != nil {
				return err
			}
		}
		for i := range c.ways {
			if err := c.ways[i].deliver(time.Since(start)); err != nil {
				return err
			}
		}
	}
}

// wait returns when there is something to read or to deliver, or earlier.
func (c *carrier) wait(start time.Time) error {
	var timeout *unix.Timespec // Nil is for ever.
	if arrival, flying := c.nextArrival(); flying {
		if arrival > time.Since(start) { // Not behind.
			rest := unix.NsecToTimespec(int64(grain))
			_ = unix.Nanosleep(&rest, nil) // Interrupted, it was shorter; no harm is done.
		}
		left := unix.NsecToTimespec(int64(max(0, arrival-time.Since(start))))
		timeout = &left
	}
	_, err := unix.Ppoll(c.poll[:], timeout, nil)
	if errors.Is(err, unix.EINTR) {
		for i := range c.poll {
			c.poll[i].Revents = 0
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("link: waiting for packets: %w", err)
	}
	return nil
}

// nextArrival returns when the next packet arrives, of both directions.
func (c *carrier) nextArrival() (next time.Duration, flying bool) {
	for i := range c.ways {
		if _, arrival, ok := c.ways[i].flight.next(); ok && (!flying || arrival < next) {
			next, flying = arrival, true
		}
	}
	return next, flying
}

// accept reads what a device has sent.
func (w *way) accept(now time.Duration) error {
	for range batch {
		data := w.flight.space()
		n, err := unix.Read(w.from, data)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("link: reading a packet from a tun device: %w", err)
		}
		if data[0]>>4 != 4 { // What IPv6 announces by itself.
			continue
		}
		switch arrival, f := w.path.send(now, n); f {
		case delivered:
			w.flight.add(arrival, n)
		case lost:
			w.counts.lost.Add(1)
		case dropped:
			w.counts.dropped.Add(1)
		}
	}
	return nil
}

// deliver writes the packets whose time has come.
func (w *way) deliver(now time.Duration) error {
	for range batch {
		data, arrival, ok := w.flight.next()
		if !ok || arrival > now {
			return nil
		}
		if _, err := unix.Write(w.to, data); errors.Is(err, unix.EINTR) {
			return nil
		} else if err != nil {
			return fmt.Errorf("link: writing a packet to a tun device: %w", err)
		}
		w.flight.remove()
		w.counts.packets.Add(1)
		w.counts.bytes.Add(int64(len(data)))
		w.counts.late.Add(int64(now - arrival))
	}
	return nil
}
