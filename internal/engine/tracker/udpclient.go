package tracker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// datagrams asks trackers over UDP (BEP 15), any number of them over one
// socket, which is opened when it is first needed. Each packet is sent once:
// when one that was not answered is sent again is the schedule's to say.
type datagrams struct {
	allow  func(netip.Addr) error // Whether an address may be sent to.
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	listen func() (packetConn, error)

	mu      sync.Mutex
	closed  bool
	conn    packetConn // Nil while it is not open.
	waiting map[uint32]question
	ids     map[netip.AddrPort]connection
	reading sync.WaitGroup // The readers of sockets.
}

// packetConn is what is used of a [net.UDPConn].
type packetConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// question is a packet that waits for its answer.
type question struct {
	to     netip.AddrPort
	answer chan []byte // Capacity 1.
}

// connection is a connection ID and when it came.
type connection struct {
	id  uint64
	got time.Time
}

func newDatagrams(allow func(netip.Addr) error) *datagrams {
	return &datagrams{
		allow: allow, lookup: net.DefaultResolver.LookupNetIP,
		listen:  func() (packetConn, error) { return net.ListenUDP("udp", nil) },
		waiting: map[uint32]question{}, ids: map[netip.AddrPort]connection{},
	}
}

// close ends all exchanges; there will be no others.
func (d *datagrams) close() {
	d.mu.Lock()
	d.closed = true
	if d.conn != nil {
		d.conn.Close()
	}
	d.mu.Unlock()
	d.reading.Wait()
}

// announce announces to the tracker's addresses of both families, for each of
// them gives addresses of its own family only (BEP 15, "IPv6"). One answer is
// enough: the other family is not waited for much longer.
func (d *datagrams) announce(ctx context.Context, u *url.URL, a Announce) (Reply, error) {
	four, six, err := d.resolve(ctx, u)
	if err != nil {
		return Reply{}, err
	}
	data := u.EscapedPath()
	if u.RawQuery != "" {
		data += "?" + u.RawQuery
	}
	request := packetRequest{Action: actionAnnounce, Announce: a, URLData: data}
	type result struct {
		Reply
		err error
	}
	results := make(chan result, 2)
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := 0
	for _, family := range [][]netip.AddrPort{four, six} {
		if len(family) > 0 {
			asked++
			asking.Go(func() {
				b, from, err := d.exchange(ctx, family, request)
				if err != nil {
					results <- result{err: err}
					return
				}
				r, err := parseAnnounceReply(b, from)
				results <- result{r, err}
			})
		}
	}
	first := <-results
	if asked == 1 {
		return first.Reply, first.err
	}
	var patience <-chan time.Time
	if first.err == nil {
		patience = time.After(familyTime)
	}
	select {
	case second := <-results:
		return bothFamilies(first.Reply, second.Reply, first.err, second.err)
	case <-patience:
		return first.Reply, nil
	}
}

// bothFamilies makes one outcome of two. One answer is enough; of two errors
// the one is told that says more.
func bothFamilies(r, o Reply, rErr, oErr error) (Reply, error) {
	var refused *FailureError
	switch {
	case rErr == nil && oErr == nil:
		return together(r, o), nil
	case rErr == nil:
		return r, nil
	case oErr == nil:
		return o, nil
	case errors.As(oErr, &refused) || errors.Is(oErr, errSilent) && !errors.As(rErr, &refused):
		return Reply{}, oErr
	default:
		return Reply{}, rErr
	}
}

// together makes one reply of two of the same tracker.
func together(r, o Reply) Reply {
	r.Interval, r.MinInterval = max(r.Interval, o.Interval), max(r.MinInterval, o.MinInterval)
	r.Seeds, r.Peers = max(r.Seeds, o.Seeds), max(r.Peers, o.Peers)
	r.Addrs = append(r.Addrs, o.Addrs...)
	r.Addrs = r.Addrs[:min(len(r.Addrs), maxPeers)]
	return r
}

// scrape asks for the numbers of one torrent.
func (d *datagrams) scrape(ctx context.Context, u *url.URL, infoHash [20]byte) (seeds, peers int, err error) {
	four, six, err := d.resolve(ctx, u)
	if err != nil {
		return 0, 0, err
	}
	b, _, err := d.exchange(ctx, append(four, six...), packetRequest{Action: actionScrape, Hashes: [][20]byte{infoHash}})
	if err != nil {
		return 0, 0, err
	}
	return parseScrapeReply(b)
}

// resolve returns the tracker's addresses of both families that may be sent to.
// If there is none, the error is that of the name or of the first address.
func (d *datagrams) resolve(ctx context.Context, u *url.URL) (four, six []netip.AddrPort, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return nil, nil, err
	}
	ips, err := d.lookup(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, nil, err
	}
	for _, ip := range ips {
		ip = ip.Unmap()
		if denied := d.allow(ip); denied != nil {
			if err == nil {
				err = denied
			}
			continue
		}
		family := &four
		if ip.Is6() {
			family = &six
		}
		if len(*family) < maxAddresses {
			*family = append(*family, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	if len(four)+len(six) > 0 {
		return four, six, nil
	}
	if err == nil {
		err = errors.New("the tracker's name has no address")
	}
	return nil, nil, err
}

// exchange sends a request to one of a tracker's addresses and returns the
// answer, and who gave it.
func (d *datagrams) exchange(ctx context.Context, addrs []netip.AddrPort, r packetRequest) ([]byte, netip.Addr, error) {
	addr, id, err := d.connect(ctx, addrs)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	r.Connection = id
	b, err := d.ask(ctx, addr, r)
	if err == nil && binary.BigEndian.Uint32(b) == actionError {
		// It may be the connection ID that it does not like.
		d.mu.Lock()
		delete(d.ids, addr)
		d.mu.Unlock()
	}
	return b, addr.Addr(), err
}

// connect returns an address of a tracker and a connection ID for it: one that
// still holds, or else that of the first address to answer.
func (d *datagrams) connect(ctx context.Context, addrs []netip.AddrPort) (netip.AddrPort, uint64, error) {
	for _, addr := range addrs {
		if id, ok := d.connected(addr); ok {
			return addr, id, nil
		}
	}
	type result struct {
		addr netip.AddrPort
		id   uint64
		err  error
	}
	results := make(chan result, len(addrs))
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, addr := range addrs {
		asking.Go(func() {
			b, err := d.ask(ctx, addr, packetRequest{Action: actionConnect})
			if err != nil {
				results <- result{err: err}
				return
			}
			id, err := parseConnectReply(b)
			results <- result{addr, id, err}
		})
	}
	var last result
	for range addrs {
		if last = <-results; last.err == nil {
			d.keep(last.addr, last.id)
			break
		}
	}
	return last.addr, last.id, last.err
}

// connected returns the connection ID for an address, if there is one.
func (d *datagrams) connected(addr netip.AddrPort) (id uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.ids[addr]
	return c.id, ok && time.Since(c.got) < connectionLife
}

// keep takes note of a connection ID, and forgets those that have expired.
func (d *datagrams) keep(addr netip.AddrPort, id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for other, c := range d.ids {
		if now.Sub(c.got) >= connectionLife {
			delete(d.ids, other)
		}
	}
	d.ids[addr] = connection{id, now}
}

// ask sends one packet and returns what comes back with its transaction ID.
func (d *datagrams) ask(ctx context.Context, to netip.AddrPort, r packetRequest) ([]byte, error) {
	answer := make(chan []byte, 1)
	conn, transaction, err := d.begin(question{to, answer})
	if err != nil {
		return nil, err
	}
	defer d.end(transaction)
	r.Transaction = transaction
	if _, err := conn.WriteToUDPAddrPort(r.append(nil), to); err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // The rest of it is our own address.
		}
		return nil, fmt.Errorf("can't send to %v: %w", to, err)
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case b := <-answer:
		return b, nil
	case <-timer.C:
		return nil, fmt.Errorf("%w: nothing came from %v within %v", errSilent, to, answerTime)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin opens the socket if it must, and enters a question under a transaction
// ID that nobody can guess.
func (d *datagrams) begin(q question) (conn packetConn, transaction uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, 0, net.ErrClosed
	}
	if d.conn == nil {
		conn, err := d.listen()
		if err != nil {
			return nil, 0, fmt.Errorf("opening a socket for UDP trackers: %w", err)
		}
		d.conn = conn
		d.reading.Go(func() { d.read(conn) })
	}
	for {
		var random [4]byte
		rand.Read(random[:])
		transaction = binary.BigEndian.Uint32(random[:])
		if _, taken := d.waiting[transaction]; !taken {
			d.waiting[transaction] = q
			return d.conn, transaction, nil
		}
	}
}

func (d *datagrams) end(transaction uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, transaction)
}

// read hands out what comes, until the socket ends.
func (d *datagrams) read(conn packetConn) {
	b := make([]byte, maxPacket)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			break
		}
		d.deliver(b[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	}
	conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = nil // The next question opens another one.
}

// deliver gives a packet to whoever waits for it. One from another address
// than was asked is nobody's, whatever it says.
func (d *datagrams) deliver(b []byte, from netip.AddrPort) {
	transaction, ok := replyTransaction(b)
	if !ok {
		return
	}
	d.mu.Lock()
	q, ok := d.waiting[transaction]
	d.mu.Unlock()
	if !ok || q.to != from {
		return
	}
	select {
	case q.answer <- append([]byte(nil), b...):
	default: // It has one.
	}
}
