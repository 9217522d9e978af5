package tracker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// Reply is what a tracker answered to an announce, moved into bounds.
type Reply struct {
	Interval    time.Duration // Until the next regular announce.
	MinInterval time.Duration // Between any two announces but those of events.
	TrackerID   string        // To be sent with the next announce; "" keeps the last one.
	Warning     string        // A message for a person, or "".
	Seeds       int           // Peers that have everything; -1 if the tracker did not say.
	Peers       int           // Peers that do not; -1 if the tracker did not say.
	Addrs       []netip.AddrPort
}

// FailureError is a tracker's refusal: its "failure reason" (BEP 3), and when
// it may be asked again (BEP 31).
type FailureError struct {
	Reason  string        // Fit to be shown.
	RetryIn time.Duration // Zero if the tracker did not say.
	Never   bool          // It is of no use to ask again.
}

// Error says that the tracker refused, and why.
func (e *FailureError) Error() string { return "the tracker refused: " + e.Reason }

// noReason stands for the reason of a refusal that has none.
const noReason = "it gave no reason"

// errNotReply is the error about a reply that is not one of a tracker.
var errNotReply = errors.New("the answer is not that of a tracker")

// parseReply reads the body of a tracker's reply. The error is a
// [*FailureError] if the tracker refused.
func parseReply(body []byte) (Reply, error) {
	v, err := bencode.View(body, bencode.Limits{Size: maxReply, Depth: maxDepth})
	if err != nil {
		return Reply{}, fmt.Errorf("%w: %w", errNotReply, err)
	}
	if v.Kind() != bencode.Dict {
		return Reply{}, fmt.Errorf("%w: it is %s, not a dictionary", errNotReply, v.Kind())
	}
	fields := map[string]bencode.Value{}
	for key, value := range v.Entries() {
		switch string(key) {
		case "failure reason", "retry in", "warning message", "interval", "min interval",
			"tracker id", "complete", "incomplete", "peers", "peers6":
			fields[string(key)] = value
		}
	}
	if reason, ok := fields["failure reason"]; ok {
		return Reply{}, refusal(reason, fields["retry in"])
	}
	r := Reply{
		Warning: text(fields["warning message"]),
		Seeds:   count(fields["complete"]),
		Peers:   count(fields["incomplete"]),
	}
	r.Interval, r.MinInterval = intervals(number(fields["interval"]), number(fields["min interval"]))
	if id, ok := fields["tracker id"].Bytes(); ok && len(id) <= maxTrackerID {
		r.TrackerID = string(id)
	}
	if r.Addrs, err = peers(fields["peers"], fields["peers6"]); err != nil {
		return Reply{}, err
	}
	return r, nil
}

// refusal reads a failure reason and BEP 31's "retry in": minutes, or "never".
func refusal(reason, retry bencode.Value) *FailureError {
	e := &FailureError{Reason: text(reason)}
	if e.Reason == "" {
		e.Reason = noReason
	}
	if word, ok := retry.Bytes(); ok && string(word) == "never" {
		e.Never = true
	}
	if minutes, ok := retry.Int(); ok && minutes > 0 {
		e.RetryIn = times(minutes, time.Minute)
	}
	return e
}

// intervals moves what a tracker wishes, in seconds, into bounds: shortest ≤
// minimum ≤ interval ≤ longest. What it does not name, or names as zero or
// less, is the default.
func intervals(interval, minimum int64) (every, atLeast time.Duration) {
	every = defaultInterval
	if interval > 0 {
		every = max(shortest, times(interval, time.Second))
	}
	atLeast = defaultMinimum
	if minimum > 0 {
		atLeast = max(shortest, times(minimum, time.Second))
		every = max(every, atLeast)
	}
	return every, min(atLeast, every)
}

// times returns n units, at most longest.
func times(n int64, unit time.Duration) time.Duration {
	return time.Duration(min(n, int64(longest/unit))) * unit
}

func text(v bencode.Value) string {
	b, _ := v.Bytes()
	return wire.Text(string(b[:min(len(b), maxText+1)]), maxText)
}

// number reads a number; what is none is zero.
func number(v bencode.Value) int64 {
	n, ok := v.Int()
	if !ok {
		return 0
	}
	return n
}

func count(v bencode.Value) int {
	n, ok := v.Int()
	if !ok || n < 0 {
		return -1
	}
	return int(min(n, math.MaxInt32))
}

// peers reads the addresses of a reply: a list of dictionaries (BEP 3) or a
// string of 6 bytes each (BEP 23), and 18 bytes each for IPv6 (BEP 7).
// Addresses that nobody could connect to are left out.
func peers(four, six bencode.Value) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	switch four.Kind() {
	case bencode.List:
		for item := range four.Items() {
			if len(out) == maxPeers {
				break
			}
			if a := peer(item); usable(a) {
				out = append(out, a)
			}
		}
	case bencode.String, bencode.Absent:
		var err error
		if out, err = compact(out, four, 4); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: its list of peers is %s", errNotReply, four.Kind())
	}
	return compact(out, six, 16)
}

// peer reads one dictionary of a list of peers. A host name in place of an
// address is not followed: the zero value is returned.
func peer(v bencode.Value) netip.AddrPort {
	var host []byte
	var port int64
	for key, value := range v.Entries() {
		switch string(key) {
		case "ip":
			host, _ = value.Bytes()
		case "port":
			port, _ = value.Int()
		}
	}
	if len(host) > 64 || port < 0 || port > math.MaxUint16 {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddr(string(host))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.WithZone("").Unmap(), uint16(port))
}

// compact appends the addresses of a compact list, each of size bytes and two
// of a port.
func compact(out []netip.AddrPort, v bencode.Value, size int) ([]netip.AddrPort, error) {
	b, _ := v.Bytes()
	if len(b)%(size+2) != 0 {
		return nil, fmt.Errorf("%w: a compact list of peers has %d bytes, not a multiple of %d", errNotReply, len(b), size+2)
	}
	for ; len(b) > 0 && len(out) < maxPeers; b = b[size+2:] {
		if a := compactAddr(b, size); usable(a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// compactAddr reads an address of size bytes, 4 or 16, and the two of a port.
func compactAddr(b []byte, size int) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(b[:size])
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[size:]))
}

// usable says whether a may be the address of a peer.
func usable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
