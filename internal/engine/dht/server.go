package dht

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ServerConfig is what a [Server] is made of. Send must be set.
type ServerConfig struct {
	// Send sends a packet. It is called from one goroutine and must not block
	// for long. That a packet is lost is nothing that it has to tell.
	Send      func(b []byte, to netip.AddrPort)
	Four, Six bool // There is a socket for this family.
	Port      int  // Of the sockets.
	// Bootstrap are host:port of nodes by which to get into the network, while
	// few are known.
	Bootstrap []string
	ReadOnly  bool // See [Config].
	// File is where ids and nodes are kept from one run to the next; "" is
	// nowhere.
	File   string
	Allow  func(netip.Addr) error // Whether packets may go to an address; nil is to all.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	Logger *slog.Logger // nil is silence.
}

// Server runs a [Node] on a goroutine of its own. Its methods may be called from
// any goroutine, and none but Close waits.
type Server struct {
	cfg     ServerConfig
	packets chan packet // At most maxWaiting.
	poked   chan struct{}
	ctx     context.Context // Ends with Close.
	cancel  context.CancelFunc
	work    sync.WaitGroup // The goroutine, and resolutions.

	heard atomic.Int64 // Node.Heard in seconds of Unix time.

	mu    sync.Mutex // Guards calls.
	calls []func(now time.Time, n *Node)

	// The goroutine's own.
	searches  map[SearchID]*Search
	resolve   time.Time // When names are to be resolved again, if few nodes are known.
	resolving bool
	entering  int // Lookups of names by Enter: at most maxRouters.
	fails     int
	save      time.Time
}

type packet struct {
	b    []byte
	from netip.AddrPort
}

// Search is the search for the peers of one torrent. Its methods may be called
// from any goroutine and don't wait.
type Search struct {
	server *Server
	id     SearchID // The goroutine's own.
	found  func([]netip.AddrPort)
}

// Start begins to take part. [Server.Close] ends it.
func Start(cfg ServerConfig) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Lookup == nil {
		cfg.Lookup = net.DefaultResolver.LookupNetIP
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		cfg: cfg, ctx: ctx, cancel: cancel, packets: make(chan packet, maxWaiting), poked: make(chan struct{}, 1),
		searches: map[SearchID]*Search{},
	}
	s.work.Go(s.run)
	return s
}

// Receive takes in a packet, or drops it if too many wait. It keeps nothing of b.
func (s *Server) Receive(b []byte, from netip.AddrPort) {
	if len(b) > maxPacket {
		return
	}
	select {
	case s.packets <- packet{slices.Clone(b), from}:
	default:
	}
}

// Search begins to look for the peers of a torrent, and to announce one at a TCP
// port of ours. found takes what is found; it is called from the server's
// goroutine, must not block, and owns what it is given.
func (s *Server) Search(hash [20]byte, port uint16, found func([]netip.AddrPort)) *Search {
	q := &Search{server: s, found: found}
	s.call(func(_ time.Time, n *Node) {
		q.id = n.Search(hash, port)
		s.searches[q.id] = q
	})
	return q
}

// NeedPeers says that more addresses would be useful now. It may be called as
// often as one likes.
func (q *Search) NeedPeers() { q.server.call(func(_ time.Time, n *Node) { n.NeedPeers(q.id) }) }

// Stop ends the search. It may be called twice.
func (q *Search) Stop() {
	q.server.call(func(_ time.Time, n *Node) {
		n.StopSearch(q.id)
		delete(q.server.searches, q.id)
	})
}

// Ping makes sure of a node that a peer told of.
func (s *Server) Ping(a netip.AddrPort) { s.call(func(_ time.Time, n *Node) { n.Ping(a) }) }

// Enter looks up a node by which to get into the network, such as a .torrent
// file names (BEP 5, "Torrent File Extensions").
func (s *Server) Enter(host string, port int) {
	s.call(func(time.Time, *Node) {
		if s.entering == maxRouters {
			return
		}
		s.entering++
		s.work.Go(func() {
			addrs, err := s.addresses([]string{net.JoinHostPort(host, strconv.Itoa(port))})
			if err != nil {
				s.cfg.Logger.Debug("a node of the DHT can't be found", "node", host, "error", err)
			}
			s.call(func(_ time.Time, n *Node) {
				s.entering--
				n.Enter(addrs)
			})
		})
	})
}

// Answers says whether anybody has answered us lately.
func (s *Server) Answers(now time.Time) bool {
	return now.Unix()-s.heard.Load() < int64(goodFor/time.Second)
}

// Close ends taking part, and keeps what is known for the next start.
func (s *Server) Close() {
	s.cancel()
	s.work.Wait()
}

// call has something done by the goroutine, soon.
func (s *Server) call(f func(time.Time, *Node)) {
	s.mu.Lock()
	s.calls = append(s.calls, f)
	s.mu.Unlock()
	s.poke()
}

func (s *Server) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// run is the server's goroutine. Nobody is asked before there is a torrent to
// look for: who has private ones alone takes no part.
func (s *Server) run() {
	select {
	case <-s.ctx.Done():
		return
	case <-s.poked:
		s.poke()
	}
	n := s.node(time.Now())
	wake := time.Now() // When the timer fires.
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var fx *Effects
		select {
		case <-s.ctx.Done():
			s.keep(n)
			return
		case p := <-s.packets:
			fx = n.Handle(time.Now(), p.b, p.from)
		case <-s.poked:
			s.mu.Lock()
			calls := s.calls
			s.calls = nil
			s.mu.Unlock()
			now := time.Now()
			for _, f := range calls {
				f(now, n)
			}
			fx = n.Tick(now)
		case <-timer.C:
			now := time.Now()
			s.find(now, n)
			if !now.Before(s.save) {
				s.save = now.Add(saveTurn)
				s.keep(n)
			}
			fx = n.Tick(now)
			wake = time.Time{}
		}
		s.heard.Store(n.Heard().Unix())
		for _, p := range fx.Send {
			s.cfg.Send(p.Data, p.To)
		}
		for _, f := range fx.Found {
			if q := s.searches[f.Search]; q != nil {
				q.found(f.Addrs)
			}
		}
		if wake.IsZero() || fx.Wake.Before(wake) { // Else whoever sends packets could put off what is due.
			wake = fx.Wake
			timer.Reset(max(time.Millisecond, time.Until(wake)))
		}
	}
}

// node makes the node, with what an earlier run has kept.
func (s *Server) node(now time.Time) *Node {
	c := Config{Four: s.cfg.Four, Six: s.cfg.Six, ReadOnly: s.cfg.ReadOnly}
	rand.Read(c.Seed[:])
	if allow := s.cfg.Allow; allow != nil {
		c.Allow = func(a netip.Addr) bool { return allow(a) == nil }
	}
	if s.cfg.File != "" {
		var err error
		if c.Known, err = readFile(s.cfg.File, s.cfg.Port); err != nil {
			s.cfg.Logger.Warn("starting to look for nodes of the DHT anew", "error", err)
		}
	}
	if len(c.Known[four].Nodes)+len(c.Known[six].Nodes) >= bucketSize {
		s.resolve = now.Add(answerTime) // They may do.
	}
	s.save = now.Add(saveTurn)
	return NewNode(now, c)
}

// keep keeps what is known, if it is anything.
func (s *Server) keep(n *Node) {
	if s.cfg.File == "" || n.Size() == 0 {
		return
	}
	if err := writeFile(s.cfg.File, n.State(), s.cfg.Port); err != nil {
		s.cfg.Logger.Warn("the next start has to look for nodes of the DHT anew", "error", err)
	}
}

// find has the nodes looked up that show the way into the network, while few
// are known.
func (s *Server) find(now time.Time, n *Node) {
	if s.resolving || len(s.cfg.Bootstrap) == 0 || now.Before(s.resolve) || n.Size() >= bucketSize {
		return
	}
	s.resolving = true
	s.work.Go(func() {
		addrs, err := s.addresses(s.cfg.Bootstrap)
		if err != nil && s.ctx.Err() == nil {
			s.cfg.Logger.Warn("some nodes to enter the DHT by can't be found; see --dht-bootstrap", "error", err)
		}
		s.call(func(now time.Time, n *Node) {
			s.resolving = false
			n.Enter(addrs)
			s.resolve = now.Add(min(retryFirst<<min(s.fails, 10), retryLast))
			s.fails++
		})
	})
}

// addresses looks up nodes, each host:port.
func (s *Server) addresses(hostPorts []string) (list []netip.AddrPort, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, lookupTime)
	defer cancel()
	for _, hostPort := range hostPorts {
		host, portText, serr := net.SplitHostPort(hostPort)
		port, perr := strconv.ParseUint(portText, 10, 16)
		if serr != nil || perr != nil {
			err = errors.Join(err, serr, perr)
			continue
		}
		ips, lerr := s.cfg.Lookup(ctx, "ip", host)
		err = errors.Join(err, lerr)
		for _, ip := range ips {
			list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
		}
	}
	return list, err
}
