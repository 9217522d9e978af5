package metainfo

import (
	"cmp"
	"encoding/base32"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits on a magnet link, which may come from anybody.
const (
	// MaxMagnet is how many bytes a magnet link may have. One with forty
	// trackers has four thousand.
	MaxMagnet = 8 << 10
	// maxMagnetHints is how many trackers, web seeds and peers of each kind
	// are taken in. The rest is passed over.
	maxMagnetHints = 64
	// maxSelected is how many numbers and ranges of files a link may name.
	maxSelected = 1024
)

// Magnet is what a magnet link says: which torrent is meant, and hints at
// where to find it (BEP 9, "magnet URI format").
type Magnet struct {
	InfoHash Hash
	Name     string       // For people to read, until the torrent's own is known; "" if the link gives none.
	Trackers []string     // http, https and udp URLs, in the order of the link.
	WebSeeds []string     // http and https URLs (BEP 19).
	Peers    []string     // host:port (x.pe).
	Select   []IndexRange // The files that are wanted, ascending and apart (BEP 53); nil for all.
}

// IndexRange is the numbers First to Last, both of them included.
type IndexRange struct{ First, Last int }

// ParseMagnet reads a magnet link. Errors match [ErrInvalid] or, for a torrent
// that has no v1 info hash, [ErrUnsupported].
//
// Parameters that it does not know are passed over, and so are trackers, web
// seeds and peers that are no addresses: links in the world are full of them,
// and the rest is as good without.
func ParseMagnet(s string) (*Magnet, error) {
	if len(s) > MaxMagnet {
		return nil, fmt.Errorf("%w: the magnet link has %d bytes, of which %d are allowed", ErrInvalid, len(s), MaxMagnet)
	}
	scheme, query, ok := strings.Cut(s, "?")
	if !ok || !strings.EqualFold(scheme, "magnet:") {
		return nil, fmt.Errorf(`%w: a magnet link begins with "magnet:?", this is %.40q`, ErrInvalid, s)
	}
	m, t := new(Magnet), topics{}
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			continue // It is no hint that could be followed.
		}
		if err := m.take(parameter(key), strings.TrimSpace(value), &t); err != nil {
			return nil, err
		}
	}
	var err error
	m.InfoHash, err = t.infoHash()
	return m, err
}

// parameter returns a parameter's name without the number that some programs
// add to tell several of one name apart: tr.1, tr.2.
func parameter(key string) string {
	key = strings.ToLower(key)
	if name, number, ok := strings.Cut(key, "."); ok {
		if _, err := strconv.ParseUint(number, 10, 16); err == nil {
			return name
		}
	}
	return key
}

// take takes in one parameter.
func (m *Magnet) take(key, value string, t *topics) (err error) {
	switch key {
	case "xt":
		err = t.add(value)
	case "dn":
		m.Name = strings.ToValidUTF8(value, "\uFFFD")
	case "tr":
		if isURL(value, "http", "https", "udp") {
			m.Trackers = hint(m.Trackers, value)
		}
	case "ws":
		if isURL(value, "http", "https") {
			m.WebSeeds = hint(m.WebSeeds, value)
		}
	case "x.pe":
		if isHostPort(value) {
			m.Peers = hint(m.Peers, value)
		}
	case "so":
		m.Select, err = parseSelect(value)
	}
	return err
}

// hint adds a value, once, as far as there is room.
func hint(list []string, value string) []string {
	if len(list) >= maxMagnetHints || slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}

// topics are the torrents that a link names (xt).
type topics struct {
	v1    Hash
	hasV1 bool
	hasV2 bool
}

func (t *topics) add(topic string) error {
	lower := strings.ToLower(topic)
	if strings.HasPrefix(lower, "urn:btmh:") {
		t.hasV2 = true
		return nil
	}
	if !strings.HasPrefix(lower, "urn:btih:") {
		return nil // Of another network.
	}
	h, err := parseTopic(topic[len("urn:btih:"):])
	if err != nil {
		return fmt.Errorf("%w: xt of the magnet link: %w", ErrInvalid, err)
	}
	if t.hasV1 && h != t.v1 {
		return fmt.Errorf("%w: the magnet link names two torrents, %v and %v; give a link for each", ErrInvalid, t.v1, h)
	}
	t.v1, t.hasV1 = h, true
	return nil
}

func (t *topics) infoHash() (Hash, error) {
	switch {
	case t.hasV1:
		return t.v1, nil
	case t.hasV2:
		return Hash{}, fmt.Errorf("%w: the magnet link names a torrent of version 2 alone (urn:btmh); give one that has a urn:btih too", ErrUnsupported)
	}
	return Hash{}, fmt.Errorf("%w: the magnet link names no torrent: it has no xt=urn:btih: with an info hash", ErrInvalid)
}

// parseTopic reads an info hash of 40 hexadecimal digits or of 32 of base32.
func parseTopic(s string) (h Hash, err error) {
	if len(s) != base32.StdEncoding.EncodedLen(len(h)) {
		return ParseHash(s)
	}
	if n, err := base32.StdEncoding.Decode(h[:], []byte(strings.ToUpper(s))); err != nil || n != len(h) {
		return Hash{}, fmt.Errorf("an info hash of 32 characters is base32, letters and the digits 2 to 7, and not %q", s)
	}
	return h, nil
}

// parseSelect reads the numbers of files: 0,2,6-8 (BEP 53).
func parseSelect(s string) (all []IndexRange, err error) {
	for item := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(item, "-")
		r := IndexRange{}
		if r.First, err = fileIndex(first); err == nil {
			if r.Last = r.First; isRange {
				r.Last, err = fileIndex(last)
			}
		}
		switch {
		case err != nil:
			return nil, err
		case r.Last < r.First:
			return nil, fmt.Errorf("%w: so of the magnet link: the range %.40q ends before it begins", ErrInvalid, item)
		case len(all) == maxSelected:
			return nil, fmt.Errorf("%w: so of the magnet link names more than %d ranges of files", ErrInvalid, maxSelected)
		}
		all = append(all, r)
	}
	return merge(all), nil
}

func fileIndex(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n >= maxNames {
		return 0, fmt.Errorf("%w: so of the magnet link: %.40q is no number of a file, which is from 0 to %d", ErrInvalid, s, maxNames-1)
	}
	return int(n), nil
}

// merge sorts ranges and joins those that touch.
func merge(all []IndexRange) []IndexRange {
	slices.SortFunc(all, func(a, b IndexRange) int { return cmp.Compare(a.First, b.First) })
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// isURL says whether s is a URL of one of the schemes, with a host.
func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
}

// isHostPort says whether s is hostname:port, IPv4:port or [IPv6]:port.
func isHostPort(s string) bool {
	colon := strings.LastIndexByte(s, ':')
	if colon < 1 || len(s) > 261 {
		return false
	}
	host, port := s[:colon], s[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return false
	}
	if host[0] == '[' {
		return len(host) > 2 && host[len(host)-1] == ']' && !strings.ContainsFunc(host[1:len(host)-1], func(r rune) bool {
			return !strings.ContainsRune("0123456789abcdefABCDEF:.", r)
		})
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return !strings.ContainsRune("-.", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// String returns the link, which [ParseMagnet] reads back as m.
func (m *Magnet) String() string {
	var b strings.Builder
	b.WriteString("magnet:?xt=urn:btih:" + m.InfoHash.String())
	add := func(key string, values ...string) {
		for _, v := range values {
			b.WriteString("&" + key + "=" + url.QueryEscape(v))
		}
	}
	if m.Name != "" {
		add("dn", m.Name)
	}
	add("tr", m.Trackers...)
	add("ws", m.WebSeeds...)
	add("x.pe", m.Peers...)
	for i, r := range m.Select {
		b.WriteString([]string{"&so=", ","}[min(i, 1)] + strconv.Itoa(r.First))
		if r.Last > r.First {
			b.WriteString("-" + strconv.Itoa(r.Last))
		}
	}
	return b.String()
}

// Metainfo returns what is known of the torrent once its info dictionary is:
// the dictionary, and what the link says. Errors match [ErrInvalid], also if the
// bytes are not those of the info hash, or [ErrUnsupported]. The result refers
// to info, which must not change any more.
func (m *Magnet) Metainfo(info []byte) (*Metainfo, error) {
	full, err := FromInfo(info)
	if err != nil {
		return nil, err
	}
	if full.InfoHash != m.InfoHash {
		return nil, fmt.Errorf("%w: the info dictionary has the info hash %v, and not %v of the magnet link", ErrInvalid, full.InfoHash, m.InfoHash)
	}
	full.AnnounceList = m.Tiers()
	full.URLList = m.WebSeeds
	return full, nil
}

// Tiers returns the trackers, each as a tier of its own: none of them is to be
// passed over because another one answers.
func (m *Magnet) Tiers() (tiers [][]string) {
	for _, t := range m.Trackers {
		tiers = append(tiers, []string{t})
	}
	return tiers
}

// Magnet returns the link to a torrent: its hash, name, trackers and web seeds.
func (m *Metainfo) Magnet() *Magnet {
	return &Magnet{InfoHash: m.InfoHash, Name: m.Info.Name, Trackers: slices.Concat(m.Tiers()...), WebSeeds: m.URLList}
}
