package swarm

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/metadata"
	"github.com/torrent-operator/torrent-operator/internal/engine/swarm/picker"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Config describes a torrent to a swarm.
type Config struct {
	Pieces      int
	PieceLength int64 // Bytes of every piece but the last: a multiple of 16 KiB, or one piece is all there is.
	Length      int64 // Bytes of the torrent, padding included.
	InfoHash    [20]byte
	PeerID      [20]byte // Ours, to know connections that lead back to us.
	Port        uint16   // That we listen on, and
	Client      string   // our name and version: peers are told (BEP 10).

	// Metadata is the info dictionary, which peers may ask for (BEP 9).
	Metadata []byte

	// Room is where [NewResolving] has the memory for the info dictionary
	// from, until that is known.
	Room metadata.Room

	// Have is the set of pieces that are on the disk and verified, nil for
	// none. The swarm keeps it and changes it.
	Have *bitfield.Bitfield
	// Wanted are the pieces to be fetched, in at most three classes, the most
	// urgent first; no piece is in two. nil is everything in one class.
	Wanted []*bitfield.Bitfield
	// Sequential has the pieces of a class begun in their order, instead of
	// the rarest first.
	Sequential bool
	// Partial lists blocks of other pieces that are on the disk.
	Partial []Partial
	// Private says that the torrent's peers may be told to nobody, nor be
	// heard of from other peers (BEP 27); NoPEX that a person wants it so.
	Private, NoPEX bool
	// DHTPort is the UDP port at which our node of the DHT answers; 0 if there
	// is none that does. Peers are told, unless the torrent is private.
	DHTPort uint16
	// Filter says which addresses there may be peers at.
	Filter Filter

	// Seed is what all randomness derives from.
	Seed uint64
	// MaxPeers is how many connections there may be; 0 is 80.
	MaxPeers int
	// DownloadLimit is how many bytes a second are let in, 0 for no limit.
	// It is kept elsewhere: the swarm asks for no more than fits, and does
	// not blame peers for it.
	DownloadLimit int64
}

// Partial says which blocks of a piece are on the disk.
type Partial struct {
	Piece  uint32
	Blocks *bitfield.Bitfield // One bit a block of 16 KiB.
}

// Swarm is the state of one torrent towards its peers. It has one owner and
// does not lock.
type Swarm struct {
	c    Config
	zero time.Time // All times inside are counted from here.
	now  time.Duration
	rng  *rand.Rand
	fx   Effects

	have *bitfield.Bitfield // The picker's, which changes it.
	pick *picker.Picker

	byID  map[Peer]*peer     // All connections, those being closed included. Never iterated over.
	byKey map[[20]byte]*peer // By the peer's own id, those that are not being closed. No web servers.
	peers []*peer            // Those that are not being closed, oldest first.
	pool  pool               // Addresses.
	ours  ours               // Our own.
	slots slots              // Unchoked peers.
	guilt guilt              // Failed pieces and bans.
	early *early             // While the info dictionary is not known; nil from then on.
	whole []uint32           // Pieces that were whole on the disk, to be verified.
	idbuf []picker.ID        // Scratch.
	bbuf  []picker.Block     // Scratch.
	count counts             // What Stats tells.
	known contacts           // How others can call the connected peers.
	busy  struct {           // What the end of the batch has to do.
		touched    []*peer // To be asked for more.
		freed      bool    // Blocks can be asked for again: all that are hungry are asked.
		endGame    bool    // It had begun at the end of the last batch.
		rechoke    bool    // A slot may be free.
		dial       bool    // A place may be free.
		complete   bool    // Completed was said.
		uploadOnly bool    // What peers were told last.
	}
	nextTick time.Duration
}

// New returns the swarm of a torrent without connections. Handle must be called
// once soon, with or without events, to get it going.
func New(now time.Time, c Config) *Swarm {
	s := &Swarm{
		zero:  now,
		rng:   rand.New(rand.NewPCG(c.Seed, 0x737761726d)),
		byID:  map[Peer]*peer{},
		byKey: map[[20]byte]*peer{},
		pool:  newPool(),
		ours:  newOurs(),
		guilt: newGuilt(),

		known: contacts{byAddr: map[netip.AddrPort]*peer{}},
	}
	s.describe(c)
	return s
}

// describe tells the swarm what the torrent consists of, and what of it is
// there.
func (s *Swarm) describe(c Config) {
	if c.Have == nil {
		c.Have = bitfield.New(c.Pieces)
	}
	s.c, s.have = c, c.Have
	s.setMaxPeers(c.MaxPeers)
	s.pick = picker.New(picker.Config{
		Pieces:     c.Pieces,
		Blocks:     s.blocks(0),
		LastBlocks: s.blocks(uint32(max(c.Pieces-1, 0))),
		Have:       c.Have,
		Wanted:     c.Wanted,
		Sequential: c.Sequential,
		Seed:       s.rng.Uint64(),
	})
	for _, p := range c.Partial {
		if s.pick.Restore(p.Piece, p.Blocks) {
			s.whole = append(s.whole, p.Piece)
		}
	}
	s.busy.complete = s.Complete()
	s.busy.uploadOnly = s.busy.complete
}

// Have returns the verified pieces. It is the swarm's own: to be read between
// two calls of Handle, and not to be changed.
func (s *Swarm) Have() *bitfield.Bitfield { return s.have }

// Complete says whether every wanted piece is verified.
func (s *Swarm) Complete() bool { return s.Missing() == 0 }

// Missing returns how many pieces are wanted and not verified.
func (s *Swarm) Missing() int { return s.pick.Missing() }

// Handle takes what happened, in the order in which it did, and returns what is
// to be done. Time never goes back from one call to the next. Events of
// connections that the swarm does not know are ignored.
func (s *Swarm) Handle(now time.Time, events []Event) *Effects {
	s.begin(now)
	for i := range events {
		s.event(&events[i])
	}
	if s.now >= s.nextTick {
		s.nextTick = s.now + tick
		s.tick()
	}
	s.settle()
	return &s.fx
}

// begin empties the effects and sets the time.
func (s *Swarm) begin(now time.Time) {
	s.now = max(s.now, now.Sub(s.zero))
	s.fx = Effects{
		Close:  s.fx.Close[:0],
		Ban:    s.fx.Ban[:0],
		Send:   spare(s.fx.Send),
		Unsend: s.fx.Unsend[:0],
		Finish: s.fx.Finish[:0],
		Dial:   s.fx.Dial[:0],
		Nodes:  s.fx.Nodes[:0],
	}
	for _, piece := range s.whole {
		s.finish(piece)
	}
	s.whole = nil
}

// maxSpare is how many messages a swarm keeps room for that is not in use.
const maxSpare = 1024

// spare empties a list to be filled again. Payloads are not held longer than
// they must be, and neither is the room of a long list.
func spare(l []Send) []Send {
	if cap(l) > maxSpare {
		return nil
	}
	clear(l)
	return l[:0]
}

// event handles one event.
func (s *Swarm) event(e *Event) {
	switch e.Kind {
	case Connected:
		s.connected(e)
		return
	case PieceDone:
		s.pieceDone(e)
		return
	case PieceLost:
		s.pieceLost(e.Msg.Index)
		return
	case Found:
		s.found(e.Addrs, e.Source)
		return
	case DialFailed:
		s.dialFailed(e.Addr, e.Self)
		return
	case Reconfigured:
		s.reconfigured(e)
		return
	}
	p := s.byID[e.Peer]
	if p == nil {
		return
	}
	switch e.Kind {
	case Gone:
		s.gone(p)
	case Received:
		switch {
		case p.closing:
		case s.early != nil:
			s.receivedEarly(p, &e.Msg)
		default:
			s.received(p, &e.Msg)
		}
	case Block:
		s.block(p, e)
	case Sent:
		s.sent(p, &e.Msg)
	}
}

// settle does what a batch of events made necessary.
func (s *Swarm) settle() {
	if s.busy.rechoke {
		s.rechoke(false)
	}
	for _, p := range s.busy.touched {
		p.touched = false
		s.refill(p)
	}
	s.busy.touched = s.busy.touched[:0]
	if end := s.pick.EndGame(); s.busy.freed || end && !s.busy.endGame {
		s.refillHungry()
		s.busy.endGame = end
	} else {
		s.busy.endGame = end
	}
	s.busy.freed = false
	s.tellUploadOnly()
	if s.early != nil {
		s.fetch()
	}
	if s.busy.dial {
		s.dial()
	}
	s.fx.Wake = s.zero.Add(s.nextTick)
}

// tick looks for what did not happen.
func (s *Swarm) tick() {
	for _, p := range s.peers {
		s.overdue(p)
		s.gossipTo(p)
	}
	s.refillHungry()
	s.serveMetadata()
	if s.now >= s.slots.next {
		s.rechoke(true)
	}
	s.dropIdle()
	s.busy.dial = true
}

// close ends a connection and gives back at once what it had to do.
func (s *Swarm) close(p *peer, reason string) {
	if p.closing {
		return
	}
	p.reason = reason
	s.count.closed(reason)
	s.fx.Close = append(s.fx.Close, Close{p.id, reason})
	s.detach(p)
}

func (s *Swarm) send(p *peer, m wire.Message) {
	s.fx.Send = append(s.fx.Send, Send{p.id, m})
}

// pieceSize returns the length of a piece in bytes.
func (s *Swarm) pieceSize(piece uint32) int64 {
	if int(piece) == s.c.Pieces-1 {
		return s.c.Length - int64(piece)*s.c.PieceLength
	}
	return min(s.c.PieceLength, s.c.Length)
}

func (s *Swarm) blocks(piece uint32) int {
	return int((s.pieceSize(piece) + block.Size - 1) / block.Size)
}

// blockLength returns the length of the block at begin.
func (s *Swarm) blockLength(piece, begin uint32) uint32 {
	return uint32(min(block.Size, s.pieceSize(piece)-int64(begin)))
}

// addrOf is how an address is compared: without the wrapping of IPv4 in IPv6.
func addrOf(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
