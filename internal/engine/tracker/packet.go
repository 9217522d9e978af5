package tracker

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// The packets of trackers over UDP (BEP 15): bytes ↔ values. All numbers are
// big-endian. Packets may be longer than is said here, and what follows is not
// looked at.

// The actions of packets (BEP 15, "UDP tracker protocol").
const (
	actionConnect uint32 = iota
	actionAnnounce
	actionScrape
	actionError
)

// protocolID stands where other requests have their connection ID (BEP 15,
// "Connect").
const protocolID = 0x41727101980

// The sizes of packets, in bytes, without what varies.
const (
	requestHeader   = 16 // Connection ID, action, transaction ID.
	replyHeader     = 8  // Action, transaction ID.
	connectAnswer   = 16
	announceRequest = 98
	announceAnswer  = 20 // Followed by the addresses of peers.
	scrapeEntry     = 12
)

// Options of an announce request (BEP 41).
const (
	optionURLData = 2
	maxOption     = 255 // Bytes of one option.
)

// packetEvents are the events in the order of their numbers (BEP 15,
// "Announce").
var packetEvents = [...]Event{None, Completed, Started, Stopped}

// packetRequest is what a client sends.
type packetRequest struct {
	Connection  uint64 // From the tracker; not for actionConnect.
	Action      uint32
	Transaction uint32
	Announce    Announce   // For actionAnnounce.
	URLData     string     // For actionAnnounce: path and query of the announce URL (BEP 41).
	Hashes      [][20]byte // For actionScrape.
}

// append appends the request as a packet.
func (r packetRequest) append(b []byte) []byte {
	if r.Action == actionConnect {
		r.Connection = protocolID
	}
	b = binary.BigEndian.AppendUint64(b, r.Connection)
	b = binary.BigEndian.AppendUint32(b, r.Action)
	b = binary.BigEndian.AppendUint32(b, r.Transaction)
	switch r.Action {
	case actionAnnounce:
		return r.appendAnnounce(b)
	case actionScrape:
		for _, h := range r.Hashes {
			b = append(b, h[:]...)
		}
	}
	return b
}

func (r packetRequest) appendAnnounce(b []byte) []byte {
	a := r.Announce
	b = append(b, a.InfoHash[:]...)
	b = append(b, a.PeerID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Downloaded))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Left))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Uploaded))
	event := uint32(0)
	for i, e := range packetEvents {
		if e == a.Event {
			event = uint32(i)
		}
	}
	b = binary.BigEndian.AppendUint32(b, event)
	b = binary.BigEndian.AppendUint32(b, 0) // Our address: the one that we send from.
	b = binary.BigEndian.AppendUint32(b, a.Key)
	b = binary.BigEndian.AppendUint32(b, uint32(a.NumWant))
	b = binary.BigEndian.AppendUint16(b, uint16(a.Port))
	for rest := r.URLData; rest != ""; {
		part := rest[:min(len(rest), maxOption)]
		b = append(append(b, optionURLData, byte(len(part))), part...)
		rest = rest[len(part):]
	}
	return b
}

// parseRequest reads a packet that came to a server. It says whether it is a
// request at all. The options of BEP 41 are not looked at.
func parseRequest(b []byte) (r packetRequest, ok bool) {
	if len(b) < requestHeader {
		return r, false
	}
	r.Connection = binary.BigEndian.Uint64(b)
	r.Action = binary.BigEndian.Uint32(b[8:])
	r.Transaction = binary.BigEndian.Uint32(b[12:])
	switch r.Action {
	case actionConnect:
		return r, r.Connection == protocolID
	case actionAnnounce:
		if len(b) < announceRequest {
			return r, false
		}
		r.Announce = Announce{
			InfoHash: [20]byte(b[16:]), PeerID: [20]byte(b[36:]),
			Stats: Stats{
				Downloaded: int64(binary.BigEndian.Uint64(b[56:])),
				Left:       int64(binary.BigEndian.Uint64(b[64:])),
				Uploaded:   int64(binary.BigEndian.Uint64(b[72:])),
			},
			Key:     binary.BigEndian.Uint32(b[88:]),
			NumWant: int(int32(binary.BigEndian.Uint32(b[92:]))),
			Port:    int(binary.BigEndian.Uint16(b[96:])),
		}
		if n := binary.BigEndian.Uint32(b[80:]); n < uint32(len(packetEvents)) {
			r.Announce.Event = packetEvents[n]
		}
		return r, true
	case actionScrape:
		for b = b[requestHeader:]; len(b) >= 20 && len(r.Hashes) < serverPacketScrape; b = b[20:] {
			r.Hashes = append(r.Hashes, [20]byte(b))
		}
		return r, true
	}
	return r, false
}

// appendReplyHeader begins a reply.
func appendReplyHeader(b []byte, action, transaction uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, action), transaction)
}

// replyTransaction returns the transaction ID of a reply.
func replyTransaction(b []byte) (id uint32, ok bool) {
	if len(b) < replyHeader {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[4:]), true
}

// checkReply returns an error if a reply, which has a transaction ID, is not
// that to an action, with at least so many bytes. The error is a
// [*FailureError] if the tracker refused.
func checkReply(b []byte, action uint32, least int) error {
	switch got := binary.BigEndian.Uint32(b); {
	case got == actionError:
		reason := b[replyHeader:]
		e := &FailureError{Reason: wire.Text(string(reason[:min(len(reason), maxText+1)]), maxText)}
		if e.Reason == "" {
			e.Reason = noReason
		}
		return e
	case got != action:
		return fmt.Errorf("%w: it answers action %d instead of %d", errNotReply, got, action)
	case len(b) < least:
		return fmt.Errorf("%w: it has %d bytes, less than %d", errNotReply, len(b), least)
	}
	return nil
}

// parseConnectReply returns the connection ID of a reply to actionConnect.
func parseConnectReply(b []byte) (uint64, error) {
	if err := checkReply(b, actionConnect, connectAnswer); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b[8:]), nil
}

// parseAnnounceReply reads a reply to actionAnnounce. Its addresses are those
// of the family of the address that it came from. A tracker is not asked again
// before its interval has passed (BEP 15, "Announce").
func parseAnnounceReply(b []byte, from netip.Addr) (Reply, error) {
	if err := checkReply(b, actionAnnounce, announceAnswer); err != nil {
		return Reply{}, err
	}
	interval := int64(int32(binary.BigEndian.Uint32(b[8:])))
	r := Reply{Peers: packetCount(b[12:]), Seeds: packetCount(b[16:])}
	r.Interval, r.MinInterval = intervals(interval, interval)
	size := from.BitLen() / 8
	for b = b[announceAnswer:]; len(b) >= size+2 && len(r.Addrs) < maxPeers; b = b[size+2:] {
		if a := compactAddr(b, size); usable(a) {
			r.Addrs = append(r.Addrs, a)
		}
	}
	return r, nil
}

// parseScrapeReply reads a reply to actionScrape for one torrent.
func parseScrapeReply(b []byte) (seeds, peers int, err error) {
	if err := checkReply(b, actionScrape, replyHeader+scrapeEntry); err != nil {
		return 0, 0, err
	}
	return packetCount(b[8:]), packetCount(b[16:]), nil
}

// packetCount reads a number of peers. What would be negative is not known.
func packetCount(b []byte) int {
	return max(-1, int(int32(binary.BigEndian.Uint32(b))))
}

// appendAnnounceReply appends the reply to an announce, with as many of the
// members found as there is room for, all of one family.
func appendAnnounceReply(b []byte, transaction uint32, interval time.Duration, t tally, found []*member) []byte {
	b = appendReplyHeader(b, actionAnnounce, transaction)
	b = binary.BigEndian.AppendUint32(b, uint32(min(int64(interval/time.Second), math.MaxInt32)))
	b = binary.BigEndian.AppendUint32(b, uint32(t.leechers))
	b = binary.BigEndian.AppendUint32(b, uint32(t.seeds))
	for _, m := range found {
		ip := m.addr.Addr().AsSlice()
		if len(b)+len(ip)+2 > serverPacket {
			break
		}
		b = binary.BigEndian.AppendUint16(append(b, ip...), m.addr.Port())
	}
	return b
}

// appendScrapeEntry appends the numbers of one torrent to a scrape reply.
func appendScrapeEntry(b []byte, t tally) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(t.seeds))
	b = binary.BigEndian.AppendUint32(b, uint32(t.completed))
	return binary.BigEndian.AppendUint32(b, uint32(t.leechers))
}
