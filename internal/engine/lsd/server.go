package lsd

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/time/rate"
)

// The groups, and the port (BEP 14, "Protocol").
var groups = [2]*net.UDPAddr{
	four: {IP: net.IPv4(239, 192, 152, 143), Port: 6771},
	six:  {IP: net.ParseIP("ff15::efc0:988f"), Port: 6771},
}

const four, six = 0, 1

// sockets makes them so that other programs can listen at the same port.
var sockets net.ListenConfig

// Config is what a [Server] is made of.
type Config struct {
	Port uint16 // At which we take peers, over TCP.
	// Addrs are those at which we do, one of a family at most; nil is all of both.
	Addrs []netip.Addr
	// Interfaces are those to speak on; nil is [Interfaces].
	Interfaces func() ([]net.Interface, error)
	Logger     *slog.Logger // nil is silence.
}

// Server tells of torrents and listens to what others tell. Its methods may be
// called from any goroutine, and none but Close waits.
type Server struct {
	cfg    Config
	cookie string
	groups []*group
	poked  chan struct{} // Capacity 1.
	ctx    context.Context
	cancel context.CancelFunc // Ends run.
	work   sync.WaitGroup

	listen   *rate.Limiter
	mu       sync.Mutex // Guards what follows.
	torrents map[[20]byte][]*Torrent
	schedule schedule
}

// Torrent is one that is told of.
type Torrent struct {
	server *Server
	hash   [20]byte
	found  func(netip.AddrPort)
}

// group is the socket of one family. It takes what is sent to the group alone:
// what comes to the port in other ways may be from anywhere.
type group struct {
	addr   *net.UDPAddr
	conn   net.PacketConn
	join   func(*net.Interface) error
	send   func(b []byte, on *net.Interface) error
	read   func(b []byte) (n int, toGroup bool, from net.Addr, err error)
	joined map[int]bool // By the index of the interface. Of Start, and then the goroutine of run.
}

// Interfaces returns those by which other machines are reached at once, and that
// a group can be spoken to on.
func Interfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	return slices.DeleteFunc(all, func(i net.Interface) bool {
		const wanted = net.FlagUp | net.FlagMulticast
		return i.Flags&wanted != wanted || i.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0
	}), err
}

// Start begins to listen. It fails if no group can be listened to. [Server.Close]
// ends it.
func Start(cfg Config) (*Server, error) {
	if cfg.Interfaces == nil {
		cfg.Interfaces = Interfaces
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, cookie: rand.Text(), poked: make(chan struct{}, 1), torrents: map[[20]byte][]*Torrent{},
		listen: rate.NewLimiter(listenRate, listenBurst),
	}
	var problems error
	if cfg.Addrs == nil {
		cfg.Addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, a := range cfg.Addrs {
		open := openFour
		if a.Is6() {
			open = openSix
		}
		g, err := open(a)
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		s.groups = append(s.groups, g)
	}
	if len(s.groups) == 0 {
		return nil, problems
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.everywhere((*group).listen)
	s.work.Go(s.run)
	for _, g := range s.groups {
		s.work.Go(func() { s.hear(g) })
	}
	return s, nil
}

func openFour(at netip.Addr) (*group, error) {
	conn, err := sockets.ListenPacket(context.Background(), "udp4", groups[four].String())
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(conn)
	return &group{
		addr: groups[four], conn: conn, joined: map[int]bool{},
		join: func(i *net.Interface) error { return p.JoinGroup(i, groups[four]) },
		send: func(b []byte, on *net.Interface) error {
			_, err := p.WriteTo(b, &ipv4.ControlMessage{IfIndex: on.Index, Src: at.AsSlice()}, groups[four])
			return err
		},
		read: func(b []byte) (int, bool, net.Addr, error) {
			n, m, from, err := p.ReadFrom(b)
			return n, m != nil && m.Dst.Equal(groups[four].IP), from, err
		},
	}, errors.Join(p.SetControlMessage(ipv4.FlagDst, true), p.SetMulticastLoopback(true), p.SetMulticastTTL(1))
}

func openSix(at netip.Addr) (*group, error) {
	conn, err := sockets.ListenPacket(context.Background(), "udp6", groups[six].String())
	if err != nil {
		return nil, err
	}
	p := ipv6.NewPacketConn(conn)
	return &group{
		addr: groups[six], conn: conn, joined: map[int]bool{},
		join: func(i *net.Interface) error { return p.JoinGroup(i, groups[six]) },
		send: func(b []byte, on *net.Interface) error {
			_, err := p.WriteTo(b, &ipv6.ControlMessage{IfIndex: on.Index, Src: at.AsSlice()}, groups[six])
			return err
		},
		read: func(b []byte) (int, bool, net.Addr, error) {
			n, m, from, err := p.ReadFrom(b)
			return n, m != nil && m.Dst.Equal(groups[six].IP), from, err
		},
	}, errors.Join(p.SetControlMessage(ipv6.FlagDst, true), p.SetMulticastLoopback(true), p.SetMulticastHopLimit(1))
}

// Tell has a torrent told of. found takes the address of each who tells of the
// same one; it is called from a goroutine of the server, must not block, and is
// called no more once [Torrent.Stop] has returned.
func (s *Server) Tell(hash [20]byte, found func(netip.AddrPort)) *Torrent {
	t := &Torrent{s, hash, found}
	s.mu.Lock()
	if s.torrents[hash] = append(s.torrents[hash], t); len(s.torrents[hash]) == 1 {
		s.schedule.add(time.Now(), hash)
	}
	s.mu.Unlock()
	select {
	case s.poked <- struct{}{}:
	default:
	}
	return t
}

// Stop has it told of no more, unless somebody else does.
func (t *Torrent) Stop() {
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.torrents[t.hash] = slices.DeleteFunc(s.torrents[t.hash], func(o *Torrent) bool { return o == t }); len(s.torrents[t.hash]) == 0 {
		delete(s.torrents, t.hash)
		s.schedule.remove(t.hash)
	}
}

// Close ends it, and waits for its goroutines.
func (s *Server) Close() {
	s.cancel()
	for _, g := range s.groups {
		g.conn.Close()
	}
	s.work.Wait()
}

// run tells of torrents when they are due.
func (s *Server) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.poked:
		case <-timer.C:
		}
		s.mu.Lock()
		hashes := s.schedule.next(time.Now())
		at, ok := s.schedule.wake()
		s.mu.Unlock()
		if len(hashes) > 0 {
			s.tell(hashes)
		}
		timer.Stop()
		if ok {
			timer.Reset(max(time.Millisecond, time.Until(at)))
		}
	}
}

// tell speaks to the groups on each interface, of which there may be others than
// the last time.
func (s *Server) tell(hashes [][20]byte) {
	a := announce{port: s.cfg.Port, hashes: hashes, cookie: s.cookie}
	s.everywhere((*group).listen)
	s.everywhere(func(g *group, on *net.Interface) error { return g.send(a.bytes(g.addr.String()), on) })
}

// everywhere does something with each group on each interface.
func (s *Server) everywhere(do func(*group, *net.Interface) error) {
	on, err := s.cfg.Interfaces()
	if err != nil {
		s.cfg.Logger.Debug("could not look for local networks", "error", err)
	}
	for _, g := range s.groups {
		for _, i := range on[:min(len(on), maxInterfaces)] {
			if err := do(g, &i); err != nil && s.ctx.Err() == nil {
				s.cfg.Logger.Debug("peers can't be looked for in a local network", "interface", i.Name, "group", g.addr, "error", err)
			}
		}
	}
}

// listen joins the group on an interface, once.
func (g *group) listen(on *net.Interface) error {
	if g.joined[on.Index] {
		return nil
	}
	g.joined[on.Index] = true
	return g.join(on)
}

// hear listens to a group until Close.
func (s *Server) hear(g *group) {
	b := make([]byte, maxPacket+1)
	for {
		n, toGroup, from, err := g.read(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && toGroup && s.listen.Allow():
			s.heard(b[:n], from.(*net.UDPAddr).AddrPort().Addr().Unmap())
		}
	}
}

// heard hands a peer to whom it concerns. An address that means something on one
// interface alone can't be dialed by what others are, and is passed over.
func (s *Server) heard(b []byte, from netip.Addr) {
	a, ok := parse(b)
	if !ok || a.cookie == s.cookie || from.Zone() != "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range a.hashes {
		for _, t := range s.torrents[h] {
			t.found(netip.AddrPortFrom(from, a.port))
		}
	}
}
