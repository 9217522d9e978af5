package tracker

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ErrUnsupported is matched by errors about announce URLs that can't be used,
// now or later: of a scheme that this package does not speak, or no URLs.
var ErrUnsupported = errors.New("this announce URL can't be used")

// Event is the value of an announce's event parameter (BEP 3).
type Event string

// The events. None is the announce at a regular interval.
const (
	None      Event = ""
	Started   Event = "started"
	Completed Event = "completed"
	Stopped   Event = "stopped"
)

// Stats are the counters that trackers are told, in bytes.
type Stats struct {
	Uploaded, Downloaded int64 // Since the session began.
	Left                 int64 // Still to be downloaded; 0 is a seed.
}

// Announce is what a client tells a tracker (BEP 3, "trackers").
type Announce struct {
	InfoHash, PeerID [20]byte
	Port             int // On which peers are accepted.
	Stats
	Event     Event
	NumWant   int    // Peers wanted.
	Key       uint32 // Tells the tracker that it is us when our address changes (BEP 7).
	TrackerID string // As the tracker's last reply had it; "" for none.
}

// announceURL returns the URL of an announce to an HTTP tracker: that of the
// tracker, with the parameters of a.
func announceURL(tracker *url.URL, a Announce) *url.URL {
	q := "info_hash=" + escape(a.InfoHash[:]) + "&peer_id=" + escape(a.PeerID[:]) +
		"&port=" + strconv.Itoa(a.Port) +
		"&uploaded=" + strconv.FormatInt(a.Uploaded, 10) +
		"&downloaded=" + strconv.FormatInt(a.Downloaded, 10) +
		"&left=" + strconv.FormatInt(a.Left, 10) +
		"&compact=1&numwant=" + strconv.Itoa(a.NumWant) +
		fmt.Sprintf("&key=%08x", a.Key)
	if a.Event != None {
		q += "&event=" + string(a.Event)
	}
	if a.TrackerID != "" {
		q += "&trackerid=" + escape([]byte(a.TrackerID))
	}
	u := *tracker
	u.RawQuery = withQuery(u.RawQuery, q)
	return &u
}

// withQuery adds parameters to the query that an announce URL has already.
func withQuery(query, more string) string {
	query = strings.ReplaceAll(query, " ", "%20")
	if query != "" && !strings.HasSuffix(query, "&") {
		query += "&"
	}
	return query + more
}

// parseURL accepts http, https and udp URLs with a host, and for udp with a
// port. Its errors say nothing of the URL but its scheme.
func parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrUnsupported, maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a valid URL", ErrUnsupported)
	}
	switch u.Scheme {
	case "http", "https":
	case "udp":
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return nil, fmt.Errorf("%w: it names no port, as udp trackers must", ErrUnsupported)
		}
	case "ws", "wss":
		return nil, fmt.Errorf("%w: %s trackers are not supported", ErrUnsupported, u.Scheme)
	default:
		return nil, fmt.Errorf("%w: only http, https and udp trackers are supported", ErrUnsupported)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: it names no host", ErrUnsupported)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// escape percent-encodes every byte but the unreserved ones (RFC 3986).
func escape(b []byte) string {
	const hex = "0123456789ABCDEF"
	var s strings.Builder
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~':
			s.WriteByte(c)
		default:
			s.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return s.String()
}
