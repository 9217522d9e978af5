package link

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
)

// waiting is how many packets may wait in a device until they are read. They
// should wait in the path's queue, not here, so there is always room.
const waiting = 1 << 14

// newEnd makes a namespace with a device that leads to a peer.
func newEnd(addr, peer netip.Addr) (End, error) {
	e := End{Addr: addr, namespace: -1, device: -1}
	err := inNewNamespace(func() (err error) {
		if e.namespace, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("opening the new network namespace: %w", err)
		}
		if e.device, err = openTun("path"); err != nil {
			return err
		}
		return configure("path", addr, peer)
	})
	if err == nil {
		return e, nil
	}
	for _, fd := range []int{e.namespace, e.device} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	return End{}, err
}

// inNewNamespace calls f in a network namespace of its own, which ends when
// nothing refers to it any more.
func inNewNamespace(f func() error) error {
	runtime.LockOSThread()
	old, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("opening the network namespace of this process: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return errors.Join(fmt.Errorf("%w: making a network namespace: %w; run as root, with CAP_SYS_ADMIN", ErrUnavailable, err), unix.Close(old))
	}
	err = f()
	// A thread that can't go back stays locked, and ends with its goroutine.
	if back := unix.Setns(old, unix.CLONE_NEWNET); back != nil {
		err = errors.Join(err, fmt.Errorf("going back to the network namespace of this process: %w", back))
	} else {
		runtime.UnlockOSThread()
	}
	return errors.Join(err, unix.Close(old))
}

// openTun makes a device in this thread's namespace. Reads and writes of it are
// packets and don't block.
func openTun(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("%w: opening /dev/net/tun: %w; load the module tun, or give the container this device", ErrUnavailable, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("%w: making a tun device: %w; run as root, with CAP_NET_ADMIN", ErrUnavailable, err), unix.Close(fd))
	}
	return fd, nil
}

// configure gives a device its address and starts it and the loopback device.
// See netdevice(7).
func configure(device string, addr, peer netip.Addr) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }
	for _, step := range []struct {
		what   string
		device string
		ioctl  uint
		set    func(*unix.Ifreq) error
	}{
		{"MTU", device, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
		{"queue length", device, unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) error { r.SetUint32(waiting); return nil }},
		{"address", device, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.AsSlice()) }},
		{"peer", device, unix.SIOCSIFDSTADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(peer.AsSlice()) }},
		{"state", device, unix.SIOCSIFFLAGS, up},
		{"state", "lo", unix.SIOCSIFFLAGS, up},
	} {
		request, err := unix.NewIfreq(step.device)
		if err == nil {
			err = step.set(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(socket, step.ioctl, request)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("setting the %s of %s: %w", step.what, step.device, err), unix.Close(socket))
		}
	}
	return unix.Close(socket)
}
