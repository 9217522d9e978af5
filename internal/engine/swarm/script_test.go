package swarm

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// TestScripts runs the scripts of testdata, one a rule. A script says what
// happens, and under ---- which effects that has; -rewrite writes them anew.
//
//	new pieces=4 [piece=32768] [last=5000] [have=1010] [partial=2:10] [max-peers=3] [seed=7]
//	do            events at the present time, one a line:
//	              connect 1 [10.0.0.1:6881] [fast] [extended] [incoming] [id=x] · gone 1
//	              connect 1 web [id=x]   a web seed
//	              recv 1 choke|unchoke|interested|not-interested|have 3|bitfield 1010|
//	                     have-all|have-none|request 0/1|cancel 0/1|reject 0/1|suggest 3|allowed 3|
//	                     extended 0 d…e, or any content in quotes
//	              block 1 0/0 0/1 · stale 1 0/0 · sent 1 0/0
//	              done 2 · done 2 digests=1,2 · bad 2 digests=1,2 · bad 2 · lost 2
//	              found 10.0.0.1:6881 … · dial-failed 10.0.0.1:6881 · max-peers 3
//	              again 100 block 1 …   the rest of the line, so many times
//	pass 30s      time goes on, with a call whenever the swarm wants one
//	stats         what Stats says
//
// A block is piece/number, or piece@begin+length. Messages of one kind to one
// peer are printed on one line.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		sc := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := sc.run(d)
			if err == nil && sc.s != nil {
				err = sc.s.check()
			}
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			if out == "" {
				return "nothing\n"
			}
			return out
		})
	})
}

type script struct {
	s   *Swarm
	now time.Time
	out strings.Builder
}

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func bits(s string) *bitfield.Bitfield {
	f := bitfield.New(len(s))
	for i, c := range s {
		if c == '1' {
			f.Set(i)
		}
	}
	return f
}

func (sc *script) run(d *datadriven.TestData) (string, error) {
	sc.out.Reset()
	switch d.Cmd {
	case "new":
		sc.create(d)
	case "do":
		var events []Event
		for line := range strings.Lines(d.Input) {
			es, err := sc.parse(strings.Fields(line))
			if err != nil {
				return "", fmt.Errorf("%s: %w", line, err)
			}
			events = append(events, es...)
		}
		sc.print(sc.s.Handle(sc.now, events))
	case "pass":
		span, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			return "", err
		}
		return sc.pass(span)
	case "stats":
		st := sc.s.Stats(sc.now)
		return fmt.Sprintf("%+v\n", st), nil
	default:
		return "", fmt.Errorf("no command %q", d.Cmd)
	}
	return sc.out.String(), nil
}

func (sc *script) create(d *datadriven.TestData) {
	c := Config{PieceLength: 2 * block.Size, PeerID: key("me"), Seed: 1}
	last := int64(-1)
	for _, a := range d.CmdArgs {
		v := a.Vals[0]
		n, _ := strconv.ParseInt(v, 10, 64)
		switch a.Key {
		case "pieces":
			c.Pieces = int(n)
		case "piece":
			c.PieceLength = n
		case "last":
			last = n
		case "have":
			c.Have = bits(v)
		case "partial":
			piece, blocks, _ := strings.Cut(v, ":")
			i, _ := strconv.Atoi(piece)
			c.Partial = append(c.Partial, Partial{uint32(i), bits(blocks)})
		case "max-peers":
			c.MaxPeers = int(n)
		case "seed":
			c.Seed = uint64(n)
		}
	}
	if last < 0 {
		last = c.PieceLength
	}
	c.Length = int64(c.Pieces-1)*c.PieceLength + last
	sc.now = epoch
	sc.s = New(epoch, c)
	sc.print(sc.s.Handle(epoch, nil))
}

func key(s string) (k [20]byte) {
	copy(k[:], s)
	return k
}

// pass calls Handle whenever it wants to be called, and says when something
// came of it.
func (sc *script) pass(span time.Duration) (string, error) {
	end := sc.now.Add(span)
	for {
		wake := sc.s.fx.Wake
		if wake.After(end) {
			break
		}
		if !wake.After(sc.now) {
			return "", fmt.Errorf("at %v it wants to be called at %v", sc.now, wake)
		}
		sc.now = wake
		before := sc.out.Len()
		sc.print(sc.s.Handle(wake, nil))
		if sc.out.Len() > before {
			all := sc.out.String()
			sc.out.Reset()
			fmt.Fprintf(&sc.out, "%sat %v:\n%s", all[:before], wake.Sub(epoch), all[before:])
		}
		if err := sc.s.check(); err != nil {
			return "", err
		}
	}
	sc.now = end
	return sc.out.String(), nil
}

// parse makes the events of a line.
func (sc *script) parse(f []string) ([]Event, error) {
	if len(f) < 2 {
		return nil, fmt.Errorf("too few words")
	}
	n, _ := strconv.Atoi(f[1])
	e := Event{Peer: Peer(n)}
	switch f[0] {
	case "again":
		var all []Event
		for range n {
			es, err := sc.parse(f[2:])
			if err != nil {
				return nil, err
			}
			all = append(all, es...)
		}
		return all, nil
	case "connect":
		sc.connect(&e, f[2:])
	case "gone":
		e.Kind = Gone
	case "recv":
		e.Kind = Received
		err := sc.message(&e, f[2:])
		return []Event{e}, err
	case "block", "stale", "sent":
		return sc.blockEvents(e, f)
	case "done", "bad", "lost":
		sc.pieceEvent(&e, f)
	case "found", "dial-failed":
		e.Kind = Found
		for _, a := range f[1:] {
			e.Addrs = append(e.Addrs, netip.MustParseAddrPort(a))
		}
		if f[0] == "dial-failed" {
			e = Event{Kind: DialFailed, Addr: e.Addrs[0]}
		}
	case "max-peers":
		e = Event{Kind: Reconfigured, MaxPeers: n}
	default:
		return nil, fmt.Errorf("no event %q", f[0])
	}
	return []Event{e}, nil
}

func (sc *script) connect(e *Event, f []string) {
	e.Kind = Connected
	e.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(e.Peer)}), 6881)
	e.PeerID = key(fmt.Sprint("peer", e.Peer))
	for _, a := range f {
		switch {
		case a == "fast":
			e.Fast = true
		case a == "extended":
			e.Extended = true
		case a == "incoming":
			e.Incoming = true
		case a == "web":
			e.WebSeed, e.Fast, e.Addr = true, true, netip.AddrPort{}
		case strings.HasPrefix(a, "id="):
			e.PeerID = key(a[3:])
		default:
			e.Addr = netip.MustParseAddrPort(a)
		}
	}
}

func (sc *script) pieceEvent(e *Event, f []string) {
	n, _ := strconv.Atoi(f[1])
	*e = Event{Kind: PieceDone, OK: f[0] == "done", Msg: wire.Message{Index: uint32(n)}}
	if f[0] == "lost" {
		e.Kind = PieceLost
	}
	if len(f) > 2 {
		for v := range strings.SplitSeq(strings.TrimPrefix(f[2], "digests="), ",") {
			d, _ := strconv.ParseUint(v, 10, 64)
			e.Digests = append(e.Digests, d)
		}
	}
}

func (sc *script) blockEvents(e Event, f []string) (all []Event, err error) {
	e.Kind = Block
	e.Fresh = f[0] == "block"
	if f[0] == "sent" {
		e.Kind = Sent
	}
	for _, b := range f[2:] {
		if e.Msg, err = sc.parseBlock(wire.Piece, b); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func (sc *script) parseBlock(id wire.ID, s string) (wire.Message, error) {
	m := wire.Message{ID: id}
	if n, _ := fmt.Sscanf(s, "%d@%d+%d", &m.Index, &m.Begin, &m.Length); n == 3 {
		return m, nil
	}
	if n, _ := fmt.Sscanf(s, "%d/%d", &m.Index, &m.Begin); n != 2 {
		return m, fmt.Errorf("no block %q", s)
	}
	m.Begin *= block.Size
	m.Length = sc.s.blockLength(m.Index, m.Begin)
	return m, nil
}

var messageNames = map[wire.ID]string{
	wire.Choke: "choke", wire.Unchoke: "unchoke", wire.Interested: "interested",
	wire.NotInterested: "not-interested", wire.Have: "have", wire.Bitfield: "bitfield",
	wire.Request: "request", wire.Piece: "piece", wire.Cancel: "cancel", wire.Suggest: "suggest",
	wire.HaveAll: "have-all", wire.HaveNone: "have-none", wire.Reject: "reject", wire.AllowedFast: "allowed",
	wire.Extended: "extended",
}

func (sc *script) message(e *Event, f []string) (err error) {
	for id, name := range messageNames {
		if name != f[0] {
			continue
		}
		e.Msg.ID = id
		switch id {
		case wire.Have, wire.Suggest, wire.AllowedFast:
			n, _ := strconv.Atoi(f[1])
			e.Msg.Index = uint32(n)
		case wire.Bitfield:
			e.Msg.Payload = bits(f[1]).Bytes()
		case wire.Request, wire.Cancel, wire.Reject:
			e.Msg, err = sc.parseBlock(id, f[1])
		case wire.Extended:
			n, _ := strconv.Atoi(f[1])
			content := strings.Join(f[2:], " ")
			if raw, err := strconv.Unquote(content); err == nil {
				content = raw
			}
			e.Msg = wire.Extend(uint8(n), []byte(content))
		}
		return err
	}
	return fmt.Errorf("no message %q", f[0])
}

// print writes effects down, in their order.
func (sc *script) print(fx *Effects) {
	w := &sc.out
	for _, c := range fx.Close {
		fmt.Fprintf(w, "close %d: %s\n", c.Peer, c.Reason)
	}
	for _, a := range fx.Ban {
		fmt.Fprintf(w, "ban %v\n", a)
	}
	sc.printSends("", fx.Send)
	sc.printSends("unsend ", fx.Unsend)
	for _, f := range fx.Finish {
		fmt.Fprintf(w, "finish %d", f.Piece)
		if f.Digests {
			fmt.Fprint(w, " with digests")
		}
		fmt.Fprintln(w)
	}
	for _, a := range fx.Dial {
		fmt.Fprintf(w, "dial %v\n", a)
	}
	if fx.NeedPeers {
		fmt.Fprintln(w, "need peers")
	}
	if fx.Completed {
		fmt.Fprintln(w, "completed")
	}
}

func (sc *script) printSends(what string, sends []Send) {
	for i, e := range sends {
		m := e.Msg
		if i == 0 || sends[i-1].Peer != e.Peer || sends[i-1].Msg.ID != m.ID {
			fmt.Fprintf(&sc.out, "%s%d %s", what, e.Peer, messageNames[m.ID])
		}
		switch m.ID {
		case wire.Request, wire.Piece, wire.Cancel, wire.Reject:
			if m.Begin%block.Size == 0 && m.Length == sc.s.blockLength(m.Index, m.Begin) {
				fmt.Fprintf(&sc.out, " %d/%d", m.Index, m.Begin/block.Size)
			} else {
				fmt.Fprintf(&sc.out, " %d@%d+%d", m.Index, m.Begin, m.Length)
			}
		case wire.Have, wire.AllowedFast, wire.Suggest:
			fmt.Fprintf(&sc.out, " %d", m.Index)
		case wire.Extended:
			fmt.Fprintf(&sc.out, " %d %q", m.Payload[0], m.Payload[1:])
		case wire.Bitfield:
			fmt.Fprint(&sc.out, " ")
			for k := range sc.s.c.Pieces {
				fmt.Fprint(&sc.out, m.Payload[k/8]>>(7-k%8)&1)
			}
		}
		if i == len(sends)-1 || sends[i+1].Peer != e.Peer || sends[i+1].Msg.ID != m.ID {
			fmt.Fprintln(&sc.out)
		}
	}
}
