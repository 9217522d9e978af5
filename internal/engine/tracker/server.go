package tracker

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// Server is a tracker: an [http.Handler] that answers /announce and /scrape
// (BEP 3, 7, 23, 48) from memory, and [Server.ServeUDP] does the same. It serves every torrent that is announced to
// it. Peers are at the address from which they connect, whatever they say, and
// are forgotten when they have missed two announces.
type Server struct {
	interval time.Duration
	now      func() time.Time
	key      [32]byte // Of the connection IDs of clients over UDP.

	mu       sync.Mutex // Guards registry.
	registry *registry
}

// NewServer returns a tracker that asks its clients to announce each interval,
// and not more often than each half of it. Who has not done so for more than two
// intervals, and 20 seconds at least, is forgotten. now is its clock; nil is the
// system's.
func NewServer(interval time.Duration, now func() time.Time) *Server {
	if now == nil {
		now = time.Now
	}
	var seed [8]byte
	rand.Read(seed[:])
	turn := max(interval, shortest) // Clients ask no more often, whatever they are told.
	s := &Server{
		interval: interval, now: now,
		registry: newRegistry(binary.BigEndian.Uint64(seed[:]), 2*turn+turn/4),
	}
	rand.Read(s.key[:])
	return s
}

// ServeHTTP answers an announce or a scrape.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := s.announce
	switch r.URL.Path {
	case "/announce":
	case "/scrape":
		answer = s.scrape
	default:
		http.Error(w, "this is a BitTorrent tracker: announce to /announce", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "only GET is allowed", http.StatusMethodNotAllowed)
		return
	}
	reply, err := answer(r)
	if err != nil {
		reply = map[string]any{"failure reason": err.Error()}
	}
	body, err := bencode.Marshal(reply)
	if err != nil {
		http.Error(w, "the reply can't be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // Whoever asked is gone.
}

// announce answers one announce.
func (s *Server) announce(r *http.Request) (map[string]any, error) {
	q, err := query(r)
	if err != nil {
		return nil, err
	}
	a, err := parseAnnounce(q)
	if err != nil {
		return nil, err
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, errors.New("the tracker can't tell your address")
	}
	addr := netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), uint16(a.Port))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, t, full := s.registry.announce(s.now(), a, addr, a.NumWant, bothKinds)
	reply := map[string]any{
		"interval":     int64(max(time.Second, s.interval) / time.Second),
		"min interval": int64(max(time.Second, s.interval/2) / time.Second),
		"complete":     t.seeds,
		"incomplete":   t.leechers,
	}
	if full {
		reply["warning message"] = "the tracker has no room for you now: others will not hear of you"
	}
	if q.Get("compact") == "0" {
		reply["peers"] = dictionaries(found, q.Get("no_peer_id") == "1")
		return reply, nil
	}
	four, six := compacted(found)
	reply["peers"] = four
	if len(six) > 0 {
		reply["peers6"] = six
	}
	return reply, nil
}

// scrape answers with the tallies of the torrents asked for, or of all up to
// the limit if none is (BEP 48).
func (s *Server) scrape(r *http.Request) (map[string]any, error) {
	q, err := query(r)
	if err != nil {
		return nil, err
	}
	files := map[string]any{}
	s.mu.Lock()
	defer s.mu.Unlock()
	tell := func(hash [20]byte) {
		if t, ok := s.registry.scrape(s.now(), hash); ok && len(files) < serverMaxScrape {
			files[string(hash[:])] = map[string]any{"complete": t.seeds, "incomplete": t.leechers, "downloaded": t.completed}
		}
	}
	for _, h := range q["info_hash"] {
		if len(h) != 20 {
			return nil, errors.New("info_hash must have 20 bytes")
		}
		tell([20]byte([]byte(h)))
	}
	if !q.Has("info_hash") {
		for hash := range s.registry.torrents {
			if len(files) == serverMaxScrape {
				break
			}
			tell(hash)
		}
	}
	return map[string]any{"files": files}, nil
}

func query(r *http.Request) (url.Values, error) {
	if len(r.URL.RawQuery) > serverMaxQuery {
		return nil, errors.New("the query is too long")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query is malformed")
	}
	return q, nil
}

// parseAnnounce reads the parameters of an announce. Its errors are failure
// reasons.
func parseAnnounce(q url.Values) (a Announce, err error) {
	hash, id := q.Get("info_hash"), q.Get("peer_id")
	if len(hash) != 20 {
		return a, errors.New("info_hash must have 20 bytes")
	}
	if len(id) != 20 {
		return a, errors.New("peer_id must have 20 bytes")
	}
	a.InfoHash, a.PeerID = [20]byte([]byte(hash)), [20]byte([]byte(id))
	if a.Port, err = strconv.Atoi(q.Get("port")); err != nil || a.Port < 1 || a.Port > 65535 {
		return a, errors.New("port must be a number from 1 to 65535")
	}
	if a.Left, err = strconv.ParseInt(q.Get("left"), 10, 64); err != nil || a.Left < 0 {
		// Clients that do not know yet what is left leave it out, or send -1.
		a.Left = 1
	}
	switch a.Event = Event(q.Get("event")); a.Event {
	case None, Started, Completed, Stopped:
	default:
		a.Event = None
	}
	a.NumWant = serverNumWant
	if n, err := strconv.Atoi(q.Get("numwant")); err == nil && n >= 0 {
		a.NumWant = min(n, serverMaxNumWant)
	}
	return a, nil
}

// dictionaries returns members as BEP 3 lists them.
func dictionaries(found []*member, noID bool) []any {
	list := make([]any, 0, len(found))
	for _, m := range found {
		d := map[string]any{"ip": m.addr.Addr().String(), "port": int64(m.addr.Port())}
		if !noID {
			d["peer id"] = string(m.id[:])
		}
		list = append(list, d)
	}
	return list
}

// compacted returns members as BEP 23 and BEP 7 list them.
func compacted(found []*member) (four, six []byte) {
	four = []byte{}
	for _, m := range found {
		if ip := m.addr.Addr(); ip.Is4() {
			four = binary.BigEndian.AppendUint16(append(four, ip.AsSlice()...), m.addr.Port())
		} else {
			six = binary.BigEndian.AppendUint16(append(six, ip.AsSlice()...), m.addr.Port())
		}
	}
	return four, six
}
