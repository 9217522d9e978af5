package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/dht"
	"github.com/torrent-operator/torrent-operator/internal/engine/disk"
	"github.com/torrent-operator/torrent-operator/internal/engine/limiter"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/mse"
	"github.com/torrent-operator/torrent-operator/internal/engine/tracker"
	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
	"github.com/torrent-operator/torrent-operator/internal/engine/webseed"
)

var (
	// ErrDuplicate is returned by [Engine.Add] for a torrent that runs
	// already with the same folder.
	ErrDuplicate = errors.New("this torrent is already running in this folder")
	// ErrClosed is returned by [Engine.Add] after [Engine.Close].
	ErrClosed = errors.New("the engine is closed")
	// ErrPort is wrapped by the error of [New] when no port of the range is free.
	ErrPort = transport.ErrPort
)

// defaultAssembly is the memory budget for pieces in assembly, in bytes.
const defaultAssembly = 56 << 20

// peerIDPrefix identifies this client and its version (BEP 20, Azureus style).
const peerIDPrefix = "-TO0100-"

// clientVersion is what peers are told that we are (BEP 10, "v").
const clientVersion = "torrent-operator 0.1"

// Config is what all torrents of an engine share. The zero value is useful.
type Config struct {
	// PortFirst and PortLast bound the TCP port listened on: the first free
	// one is taken. Both zero means 6881–6889 (BEP 3).
	PortFirst, PortLast int
	Listen              []netip.Addr // Addresses to listen on; nil is all of both families.
	AssemblyBytes       int64        // Budget for pieces in assembly; 0 is 56 MiB.

	// DownloadBytesPerSecond and UploadBytesPerSecond bound the payload of
	// the whole engine; 0 is no limit.
	DownloadBytesPerSecond, UploadBytesPerSecond int64

	// DHT finds peers without a tracker; nil is not at all.
	DHT *DHT

	// UTP has peers taken and dialed over uTP too (BEP 29), at the UDP port of
	// the same number. When dialing, TCP has a head start.
	UTP bool

	Guard            *transport.Guard // Which addresses may be dialed; nil is all.
	Logger           *slog.Logger     // nil is silence.
	ProgressInterval time.Duration    // Between snapshots of a torrent; 0 is one second.
}

// Engine runs any number of torrents over one listener, one memory budget and
// one set of disk workers. Its methods may be called from any goroutine.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	peerID   [20]byte
	disk     *disk.Disk
	net      *transport.Transport
	http     *transport.HTTP
	web      *transport.HTTP // As http, for web seeds.
	tracker  *tracker.Client
	dht      *dht.Server // nil without.
	down, up *rate.Limiter
	local    localNetworks
	metadata *budget // For what is fetched of info dictionaries.
	lookup   func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu       sync.Mutex
	closed   bool
	torrents map[metainfo.Hash][]*Torrent // More than one when a torrent is wanted in several folders.
	named    map[mse.Name]metainfo.Hash   // All of torrents, by what encrypted callers name them.
}

// New starts an engine: it listens for peers and waits for torrents. The error
// wraps [ErrPort] if no port is free. What HTTP_PROXY, HTTPS_PROXY and NO_PROXY
// say in the environment holds for all that goes over HTTP.
func New(cfg Config) (*Engine, error) {
	if cfg.PortFirst == 0 && cfg.PortLast == 0 {
		cfg.PortFirst, cfg.PortLast = 6881, 6889
	}
	if cfg.AssemblyBytes == 0 {
		cfg.AssemblyBytes = defaultAssembly
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.ProgressInterval == 0 {
		cfg.ProgressInterval = time.Second
	}
	web, err := transport.NewHTTP(cfg.Guard)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		http:     web,
		cfg:      cfg,
		log:      cfg.Logger,
		down:     limiter.New(cfg.DownloadBytesPerSecond),
		up:       limiter.New(cfg.UploadBytesPerSecond),
		metadata: newBudget(smallMetadata, largeMetadata),
		lookup:   net.DefaultResolver.LookupNetIP,
		torrents: map[metainfo.Hash][]*Torrent{},
		named:    map[mse.Name]metainfo.Hash{},
	}
	copy(e.peerID[:], peerIDPrefix)
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	rand.Read(e.peerID[len(peerIDPrefix):])
	for i := len(peerIDPrefix); i < len(e.peerID); i++ {
		e.peerID[i] = letters[int(e.peerID[i])%len(letters)]
	}
	e.net, err = transport.Listen(transport.Config{
		PortFirst: cfg.PortFirst, PortLast: cfg.PortLast, Addrs: cfg.Listen,
		PeerID: e.peerID, Guard: cfg.Guard, Accept: e.accept, Torrents: callers{e},
		Packets: cfg.DHT != nil, UTP: cfg.UTP, DHT: e.tellsOfDHT,
	})
	if err != nil {
		return nil, err
	}
	e.startDHT()
	e.disk = disk.New(disk.Options{Pool: block.NewPool(cfg.AssemblyBytes)})
	e.tracker = tracker.NewClient(e.http, cfg.Guard.Check)
	e.web = e.http.Tuned(webseed.Transport)
	return e, nil
}

// Port returns the TCP port on which the engine accepts peers.
func (e *Engine) Port() int { return e.net.Port() }

// Spec is one torrent to be downloaded and served. Metainfo or Magnet is set, or
// both, if what the link names is known already.
type Spec struct {
	Metainfo *metainfo.Metainfo
	// Magnet names the torrent by its info hash. What it is made of is read
	// from what an earlier run has kept in the folder, or else fetched from
	// peers first, which is [download.StateResolving], and kept.
	Magnet *metainfo.Magnet
	// ResolveOnly ends a Magnet's torrent, in that state, once its metainfo is
	// known. No folder is needed and none is touched.
	ResolveOnly bool

	Dir   string // An existing folder that is trusted as a place to write to, or to read from.
	Path  string // Slash-separated path below Dir that receives the files; made if missing. No symlink in it leads out of Dir.
	Owner string // Written into the lock file, to tell who holds the folder.

	Files    download.Files // Which files are wanted, and which first; the zero value is all.
	Trackers []string       // Added to the torrent's own, one tier each.
	Peers    []string       // host:port, added to those found.
	WebSeeds []string       // URLs (BEP 19), added to the torrent's own.
	NoPEX    bool           // Peers are not exchanged (BEP 11). They never are in a private torrent (BEP 27).
	NoDHT    bool           // The DHT is not asked for this torrent, and not told of it. It never is for a private torrent (BEP 27).
	Local    bool           // Peers are looked for in local networks, by multicast (BEP 14). They never are for a private torrent.
	Filter   download.PeerFilter
	// Encryption holds for connections to peers, not for web seeds.
	Encryption download.Encryption
	// Credentials go to the trackers and web seeds that they are for.
	Credentials []download.Credential
	Seeding     download.Seeding
	Limits      download.Limits

	// ReadOnly says that nothing may be written to Dir: what is there is served as
	// it is. If anything that is selected is missing or damaged, the torrent fails
	// with [download.ReasonDataMissing]. Without it, a Dir that turns out not to be
	// writable is served likewise, if it has everything.
	ReadOnly bool

	Preallocate  bool          // Reserve the space of the selected files first.
	Verify       bool          // Hash all data that is there already, trust no journal.
	StallTimeout time.Duration // No byte for so long is download.StateStalled; 0 is never.

	BytesUploaded int64     // Sent by earlier runs.
	CompletedAt   time.Time // When an earlier run completed; zero if none did.
}

// Add starts a torrent. It returns at once: opening and checking files goes on
// behind and shows in [Torrent.Progress], and so does whatever goes wrong
// there.
func (e *Engine) Add(s Spec) (*Torrent, error) {
	if s.Metainfo == nil && s.Magnet == nil {
		return nil, errors.New("a torrent needs its metainfo or a magnet link")
	}
	if (s.Dir == "") != s.ResolveOnly {
		return nil, errors.New("a torrent needs a folder, unless it is only resolved")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	t := newTorrent(e, s)
	for _, o := range e.torrents[t.hash] {
		if !s.ResolveOnly && o.spec.Dir == s.Dir && o.spec.Path == s.Path {
			return nil, fmt.Errorf("%w: %s in %s", ErrDuplicate, t.hash, s.Dir)
		}
	}
	e.torrents[t.hash] = append(e.torrents[t.hash], t)
	e.named[mse.NameOf(t.hash)] = t.hash
	go t.run()
	return t, nil
}

// Close stops all torrents as [Torrent.Stop] does, all at once, and then the
// engine itself. It returns early, with ctx's error, only if ctx ends; what
// runs then ends behind, and Close may be called again to wait for it.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	running := slices.Concat(slices.Collect(maps.Values(e.torrents))...)
	e.mu.Unlock()
	for _, t := range running {
		t.cancel()
	}
	var err error
	for _, t := range running {
		err = errors.Join(err, t.Stop(ctx))
	}
	e.net.Close()
	if e.dht != nil {
		e.dht.Close()
	}
	e.local.close()
	if err == nil {
		e.disk.Close()
	}
	e.tracker.Close()
	e.http.CloseIdleConnections()
	e.web.CloseIdleConnections()
	return err
}

// forget is called by a torrent's goroutine as its last act.
func (e *Engine) forget(t *Torrent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rest := slices.DeleteFunc(e.torrents[t.hash], func(o *Torrent) bool { return o == t })
	if len(rest) == 0 {
		delete(e.torrents, t.hash)
		delete(e.named, mse.NameOf(t.hash))
	} else {
		e.torrents[t.hash] = rest
	}
}

// serving returns the hub of a torrent that takes connections for hash, or nil.
func (e *Engine) serving(hash metainfo.Hash) *hub {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.torrents[hash] {
		if h := t.hub.Load(); h != nil {
			return h
		}
	}
	return nil
}

// Erase removes what a download of m into path below dir has made: its own files, their
// folders if they are empty then, and its resume state. The torrent must not
// be running. What is gone already is no error.
func Erase(dir, path string, m *metainfo.Metainfo) error {
	return disk.Erase(dir, path, m.Info, m.InfoHash)
}

// EraseMagnet is [Erase] for a torrent that was known by its info hash. What
// its files are is read from what the download has kept of it. Where there is a
// journal and that can't be read, nothing is removed and the error says so.
func EraseMagnet(dir, path string, hash metainfo.Hash) error {
	return disk.Erase(dir, path, nil, hash)
}
