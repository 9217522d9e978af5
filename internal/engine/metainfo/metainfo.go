// Package metainfo reads, checks, makes and writes .torrent files (BEP 3) and
// magnet links (BEP 9), and knows where each byte of a torrent lies: in which
// piece, in which file. It opens no file but those that [Create] hashes. The
// names of files are made safe here, once, so that nobody else has to: see
// [File.Path].
package metainfo

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// MaxSize is how many bytes a .torrent file may have. A real one with four
// million pieces has eighty million.
const MaxSize = 128 << 20

// maxDepth is how deep lists and dictionaries may be nested in a .torrent file.
const maxDepth = 32

var (
	// ErrInvalid is matched by errors about files that are no valid
	// torrent. The message names the key that is wrong.
	ErrInvalid = errors.New("invalid torrent")
	// ErrUnsupported is matched by errors about torrents that are made for
	// a version of BitTorrent that this engine does not speak.
	ErrUnsupported = errors.New("unsupported torrent")
)

// Hash is a v1 info hash: the SHA-1 of the info dictionary (BEP 3). It is the
// identity of a torrent.
type Hash [sha1.Size]byte

// String returns the hash as 40 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads 40 hexadecimal digits of either case.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return Hash{}, fmt.Errorf("an info hash has %d hexadecimal digits, %.60q has %d characters", 2*len(h), s, len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("an info hash has hexadecimal digits only: %q: %w", s, err)
	}
	return h, nil
}

// Metainfo is the content of a .torrent file. It is not changed after it was
// made, so it may be shared.
type Metainfo struct {
	Info      *Info
	InfoBytes []byte // The info dictionary exactly as it stands in the file.
	InfoHash  Hash   // SHA-1 of InfoBytes.

	Announce     string     // A tracker, or "".
	AnnounceList [][]string // Tiers of trackers (BEP 12). No tier is empty, and no URL.
	CreationDate time.Time  // To the second; zero if the file does not say.
	Comment      string
	CreatedBy    string
	URLList      []string // Web seeds (BEP 19).
	Nodes        []Node   // DHT nodes (BEP 5).
}

// Node is the address of a DHT node.
type Node struct {
	Host string // A name or an IP address.
	Port int    // 1 to 65535.
}

// Parse reads a .torrent file. Errors match [ErrInvalid] or [ErrUnsupported].
// The result refers to b, which must not change any more.
//
// The info dictionary must be right in all that matters. Beside it stands only
// what a download can do without; there, entries of the wrong type are passed
// over, as other clients do, because many a file in the world has one.
func Parse(b []byte) (*Metainfo, error) {
	top, err := bencode.View(b, bencode.Limits{Size: MaxSize, Depth: maxDepth})
	if err != nil {
		return nil, fmt.Errorf("%w: this is not a whole .torrent file: %w", ErrInvalid, err)
	}
	if top.Kind() != bencode.Dict {
		return nil, fmt.Errorf("%w: a .torrent file is a dictionary, this is %s", ErrInvalid, top.Kind())
	}
	m := new(Metainfo)
	var info bencode.Value
	for key, v := range top.Entries() {
		switch string(key) {
		case "info":
			info = v
		case "announce":
			m.Announce = word(v)
		case "announce-list":
			m.AnnounceList = tiers(v)
		case "creation date":
			m.CreationDate = date(v)
		case "comment":
			m.Comment = text(v)
		case "created by":
			m.CreatedBy = text(v)
		case "url-list":
			m.URLList = words(v)
		case "nodes":
			m.Nodes = nodes(v)
		}
	}
	if info.Kind() != bencode.Dict {
		return nil, wrongKind("info", info, bencode.Dict)
	}
	return m.withInfo(info)
}

// FromInfo reads an info dictionary that came without the rest of a .torrent
// file: from peers (BEP 9). Errors match [ErrInvalid] or [ErrUnsupported]. The
// result refers to b, which must not change any more.
func FromInfo(b []byte) (*Metainfo, error) {
	info, err := bencode.View(b, bencode.Limits{Size: MaxSize, Depth: maxDepth})
	if err != nil {
		return nil, fmt.Errorf("%w: this is not a whole info dictionary: %w", ErrInvalid, err)
	}
	if info.Kind() != bencode.Dict {
		return nil, wrongKind("info", info, bencode.Dict)
	}
	return new(Metainfo).withInfo(info)
}

// withInfo sets what follows from the info dictionary.
func (m *Metainfo) withInfo(info bencode.Value) (_ *Metainfo, err error) {
	m.InfoBytes = info.Raw()
	m.InfoHash = sha1.Sum(m.InfoBytes)
	if m.Info, err = parseInfo(info, m.InfoHash); err != nil {
		return nil, err
	}
	return m, nil
}

// Tiers returns the trackers in the order of BEP 12: the tiers of the
// announce-list if there is one, and else the one tracker that is named, if
// any. The caller must not change them.
func (m *Metainfo) Tiers() [][]string {
	if len(m.AnnounceList) == 0 && m.Announce != "" {
		return [][]string{{m.Announce}}
	}
	return m.AnnounceList
}

// Marshal returns a .torrent file with the fields of m, and InfoBytes as they
// are. The same m gives the same bytes.
func (m *Metainfo) Marshal() ([]byte, error) {
	file := struct {
		Announce     string             `bencode:"announce,omitempty"`
		AnnounceList [][]string         `bencode:"announce-list,omitempty"`
		Comment      string             `bencode:"comment,omitempty"`
		CreatedBy    string             `bencode:"created by,omitempty"`
		CreationDate int64              `bencode:"creation date,omitempty"`
		Info         bencode.RawMessage `bencode:"info"`
		Nodes        [][]any            `bencode:"nodes,omitempty"`
		URLList      []string           `bencode:"url-list,omitempty"`
	}{
		Announce: m.Announce, AnnounceList: m.AnnounceList, Comment: m.Comment, CreatedBy: m.CreatedBy,
		Info: m.InfoBytes, URLList: m.URLList,
	}
	if !m.CreationDate.IsZero() {
		file.CreationDate = m.CreationDate.Unix()
	}
	for _, n := range m.Nodes {
		file.Nodes = append(file.Nodes, []any{n.Host, n.Port})
	}
	return bencode.Marshal(file)
}

// text returns a string for people to read: valid UTF-8, "" for anything else
// than a string.
func text(v bencode.Value) string {
	b, _ := v.Bytes()
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// word returns a string for machines: as text, without white space around it.
func word(v bencode.Value) string { return strings.TrimSpace(text(v)) }

// words returns the strings of a list, or a string alone, without empty ones.
func words(v bencode.Value) (all []string) {
	if w := word(v); w != "" {
		return []string{w}
	}
	for item := range v.Items() {
		if w := word(item); w != "" {
			all = append(all, w)
		}
	}
	return all
}

// tiers reads an announce-list (BEP 12). A URL where a tier should be is a
// tier of its own.
func tiers(v bencode.Value) (all [][]string) {
	for tier := range v.Items() {
		if urls := words(tier); len(urls) > 0 {
			all = append(all, urls)
		}
	}
	return all
}

// date reads a creation date: seconds since 1970, up to the year 9999.
func date(v bencode.Value) time.Time {
	const year10000 = 253402300800
	if n, ok := v.Int(); ok && n > 0 && n < year10000 {
		return time.Unix(n, 0).UTC()
	}
	return time.Time{}
}

// nodes reads a list of [host, port] (BEP 5, "Torrent File Extensions").
func nodes(v bencode.Value) (all []Node) {
	for item := range v.Items() {
		var n Node
		for field := range item.Items() {
			if port, ok := field.Int(); ok && port > 0 && port < 1<<16 {
				n.Port = int(port)
			} else if host := word(field); host != "" {
				n.Host = host
			}
		}
		if n.Host != "" && n.Port != 0 {
			all = append(all, n)
		}
	}
	return all
}

// keyError says what is wrong with the value under a key. It matches
// [ErrInvalid].
type keyError struct{ key, problem string }

func (e *keyError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrInvalid, e.key, e.problem) }

func (e *keyError) Unwrap() error { return ErrInvalid }

func invalid(key, format string, args ...any) error {
	return &keyError{key, fmt.Sprintf(format, args...)}
}

// within puts what a key error is about into what stands under an outer key.
func within(outer string, err error) error {
	var e *keyError
	if errors.As(err, &e) {
		e.key = outer + e.key
	}
	return err
}

// wrongKind says that v, which stands under key, is missing or not what it
// should be.
func wrongKind(key string, v bencode.Value, want bencode.Kind) error {
	if v.Kind() == bencode.Absent {
		return invalid(key, "is missing")
	}
	return invalid(key, "must be %s and is %s", want, v.Kind())
}
