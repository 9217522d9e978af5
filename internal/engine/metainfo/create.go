package metainfo

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// CreateOptions say what [Create] puts into a torrent. The zero value is fine.
type CreateOptions struct {
	PieceLength  int64 // 1 to MaxPieceLength bytes, a power of two for the sake of other clients; 0 is chosen by size.
	Private      bool
	Source       string
	Comment      string
	CreatedBy    string
	CreationDate time.Time // Left out if zero, so that the same input gives the same bytes.
	Announce     [][]string
	URLList      []string
	Nodes        []Node
	Pad          bool // Padding makes each file begin with a piece of its own (BEP 47).

	// Progress is told how many bytes are hashed, and of how many, padding
	// included. Calls come one at a time from several goroutines, a few for
	// each MiB at most, and hold up the work while they last.
	Progress func(done, total int64)
}

// The bounds between which a piece length is chosen, and how many pieces are
// too many while it can still grow: so there are one to two thousand.
const (
	minChosenLength = 16 << 10
	maxChosenLength = 16 << 20
	maxChosenPieces = 2048
)

// Create makes the torrent of a file or of a folder, called as that is. Files
// of a folder are sorted by their names, folder by folder. They are read once,
// on all cores. Files with an execute permission are marked so (BEP 47). A folder
// named [ReservedName] at the top is left out.
//
// It refuses, naming the path: a folder without files; what is neither file
// nor folder, symbolic links included (path itself may be one); names that
// [Parse] would have to change, because then nobody would find the file again;
// and files that change meanwhile. When ctx ends, its error is returned.
func Create(ctx context.Context, path string, o CreateOptions) (*Metainfo, error) {
	src, err := scan(path)
	if err != nil {
		return nil, err
	}
	defer src.close()
	layout, err := src.layout(o)
	if err != nil {
		return nil, err
	}
	if layout.hashes, err = hashPieces(ctx, src, layout, o.Progress); err != nil {
		return nil, err
	}
	m := &Metainfo{
		AnnounceList: o.Announce, CreationDate: o.CreationDate, Comment: o.Comment, CreatedBy: o.CreatedBy,
		URLList: o.URLList, Nodes: o.Nodes,
	}
	if len(o.Announce) > 0 && len(o.Announce[0]) > 0 {
		m.Announce = o.Announce[0][0]
		if len(o.Announce) == 1 && len(o.Announce[0]) == 1 {
			m.AnnounceList = nil
		}
	}
	if m.InfoBytes, err = marshalInfo(layout, src.single); err != nil {
		return nil, err
	}
	file, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	return Parse(file)
}

// layout says where the bytes of all files go, before any is read. The files
// that are not padding are those of the source, in their order.
func (s *source) layout(o CreateOptions) (*Info, error) {
	i := &Info{Name: s.name, PieceLength: o.PieceLength, Private: o.Private, Source: o.Source}
	if safe := topName([]byte(s.name), Hash{}); safe != s.name {
		return nil, nameError(s.path, safe)
	}
	var total int64
	last := 0 // The last file that has bytes.
	for k, f := range s.files {
		if total += f.size; f.size > 0 {
			last = k
		}
	}
	if i.PieceLength == 0 {
		i.PieceLength = chosenLength(total)
	}
	if i.PieceLength < 1 || i.PieceLength > MaxPieceLength {
		return nil, fmt.Errorf("a piece length of %d bytes: it must be from 1 to %d", i.PieceLength, MaxPieceLength)
	}
	names, limit := newNamer(s.name), MaxSize/sha1.Size*i.PieceLength
	for k, f := range s.files {
		if f.size > limit-i.Length {
			return nil, fmt.Errorf("%s: too many pieces of %d bytes for a torrent file; choose longer pieces", s.path, i.PieceLength)
		}
		at := s.name
		if !s.single {
			var err error
			if at, err = placeOf(names, f.rel); err != nil {
				return nil, fmt.Errorf("%s: the path %w", s.full(f), err)
			}
			if at != s.name+"/"+f.rel {
				return nil, nameError(s.full(f), at)
			}
		}
		i.add(File{Path: at, Length: f.size, Executable: f.executable})
		if rest := i.Length % i.PieceLength; o.Pad && rest > 0 && k < last {
			i.addPad(i.PieceLength - rest)
		}
	}
	return i, nil
}

func placeOf(names *namer, rel string) (string, error) {
	parts := strings.Split(rel, "/")
	for k, part := range parts {
		parts[k] = safeName([]byte(part))
	}
	return names.place(parts)
}

func nameError(path, safe string) error {
	return fmt.Errorf("%q: this name can't be in a torrent: clients would store the file as %q; give it another name", path, safe)
}

// chosenLength returns the power of two that suits so many bytes.
func chosenLength(total int64) int64 {
	length := int64(minChosenLength)
	for length < maxChosenLength && total/length > maxChosenPieces {
		length *= 2
	}
	return length
}

// marshalInfo writes the info dictionary.
func marshalInfo(i *Info, single bool) ([]byte, error) {
	type file struct {
		Attr   string   `bencode:"attr,omitempty"`
		Length int64    `bencode:"length"`
		Path   []string `bencode:"path"`
	}
	dict := struct {
		Attr        string `bencode:"attr,omitempty"`
		Files       []file `bencode:"files,omitempty"`
		Length      *int64 `bencode:"length"` // Left out if nil.
		Name        string `bencode:"name"`
		PieceLength int64  `bencode:"piece length"`
		Pieces      []byte `bencode:"pieces"`
		Private     bool   `bencode:"private,omitempty"`
		Source      string `bencode:"source,omitempty"`
	}{Name: i.Name, PieceLength: i.PieceLength, Pieces: i.hashes, Private: i.Private, Source: i.Source}
	if single {
		dict.Length, dict.Attr = &i.Length, i.Files[0].attr()
	} else {
		for _, f := range i.Files {
			path := strings.Split(strings.TrimPrefix(f.Path, i.Name+"/"), "/")
			dict.Files = append(dict.Files, file{Attr: f.attr(), Length: f.Length, Path: path})
		}
	}
	b, err := bencode.Marshal(dict)
	if err == nil && len(b) > MaxSize {
		err = errors.New("the torrent file would be too large; choose longer pieces")
	}
	return b, err
}

// attr returns the attributes of a file as they are written (BEP 47).
func (f File) attr() string {
	switch {
	case f.Pad:
		return "p"
	case f.Executable:
		return "x"
	}
	return ""
}
