package metainfo

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// MaxPieceLength is how many bytes a piece may have, far more than anybody
// uses and little enough for an offset within a piece to fit a message's 32
// bits.
const MaxPieceLength = 1 << 30

// Info is the info dictionary: what the content of a torrent is, without
// saying where it comes from. It is not changed after it was made, so it may
// be shared.
type Info struct {
	Name        string // Made safe: one component of a path, as File.Path says.
	PieceLength int64  // Bytes of each piece but the last; 1 to MaxPieceLength.
	Length      int64  // Bytes of all files, padding included. May be 0; there are no pieces then.
	Files       []File // In the order of their bytes. Never empty.
	Private     bool   // Peers come from the torrent's trackers only (BEP 27).
	Source      string // Where it was published; part of the info hash.

	hashes  []byte           // One SHA-1 after another: a view of the metainfo's bytes.
	padding int64            // Bytes of files that are padding.
	named   map[int][]string // What files are called in the torrent, where that is not their path. See [Info.Names].
}

// File is one file of a torrent.
type File struct {
	// Path is slash-separated and valid as [io/fs.ValidPath] says. In a
	// torrent with a list of files it begins with Info.Name and a slash, else
	// it is Info.Name. Components such as "..", separators and control
	// characters within a name, names that Windows reserves, overlong names,
	// and names that differ in nothing or in case only are gone from it, so
	// joined to a folder it stays below that folder, and it never is or
	// passes through [ReservedName]. No two files have the same path,
	// padding excepted.
	Path   string
	Offset int64 // Of its first byte within the torrent.
	Length int64 // May be 0.

	Pad        bool // Zeros that are never stored; the path means nothing (BEP 47, attribute p).
	Executable bool // BEP 47, attribute x.
}

// infoFields are the values of an info dictionary that this package knows.
type infoFields struct {
	attr, files, length, metaVersion, name, nameUTF8, pieceLength, pieces, private, source bencode.Value
}

func readInfoFields(v bencode.Value) (f infoFields) {
	for key, v := range v.Entries() {
		switch string(key) {
		case "attr":
			f.attr = v
		case "files":
			f.files = v
		case "length":
			f.length = v
		case "meta version":
			f.metaVersion = v
		case "name":
			f.name = v
		case "name.utf-8":
			f.nameUTF8 = v
		case "piece length":
			f.pieceLength = v
		case "pieces":
			f.pieces = v
		case "private":
			f.private = v
		case "source":
			f.source = v
		}
	}
	return f
}

// parseInfo reads an info dictionary. A torrent without a usable name is
// called after its hash, as other clients do.
func parseInfo(v bencode.Value, hash Hash) (*Info, error) {
	f := readInfoFields(v)
	if err := f.checkVersion(); err != nil {
		return nil, err
	}
	pieceLength, err := number("info.piece length", f.pieceLength, 1, MaxPieceLength)
	if err != nil {
		return nil, err
	}
	hashes, ok := f.pieces.Bytes()
	if !ok {
		return nil, wrongKind("info.pieces", f.pieces, bencode.String)
	}
	if len(hashes)%sha1.Size != 0 {
		return nil, invalid("info.pieces", "has %d bytes, which is no multiple of the %d bytes of a hash", len(hashes), sha1.Size)
	}
	name, ok := preferred(f.nameUTF8, f.name, bencode.String).Bytes()
	if !ok {
		return nil, wrongKind("info.name", f.name, bencode.String)
	}
	private := int64(0)
	if f.private.Kind() != bencode.Absent {
		if private, err = number("info.private", f.private, math.MinInt64, math.MaxInt64); err != nil {
			return nil, err
		}
	}
	info := &Info{
		Name: topName(name, hash), PieceLength: pieceLength, Private: private != 0, Source: text(f.source), hashes: hashes,
	}
	if err := info.readFiles(f, string(name)); err != nil {
		return nil, err
	}
	return info, info.checkCount()
}

// checkVersion refuses torrents without a v1 half (BEP 52, "Upgrade Path").
func (f infoFields) checkVersion() error {
	if f.metaVersion.Kind() == bencode.Absent {
		return nil
	}
	version, err := number("info.meta version", f.metaVersion, 1, math.MaxInt64)
	switch {
	case err != nil:
		return err
	case version > 2:
		return fmt.Errorf("%w: info.meta version: is %d, and only versions 1 and 2 are known", ErrUnsupported, version)
	case version == 2 && f.pieces.Kind() == bencode.Absent:
		return fmt.Errorf("%w: info.pieces: is missing, so this torrent is for BitTorrent v2 alone (BEP 52); use a v1 or hybrid torrent", ErrUnsupported)
	}
	return nil
}

// readFiles reads the one file, or the list of files. The torrent calls itself
// name.
func (i *Info) readFiles(f infoFields, name string) error {
	single, multiple := f.length.Kind() != bencode.Absent, f.files.Kind() != bencode.Absent
	switch {
	case single && multiple:
		return invalid("info.length", "stands beside info.files, and only one of them may be there")
	case !single && !multiple:
		return invalid("info.length", "is missing, and so is info.files")
	case single:
		length, err := number("info.length", f.length, 0, math.MaxInt64)
		if err != nil {
			return err
		}
		i.Length = length
		i.Files = []File{{Path: i.Name, Length: length, Executable: hasAttr(f.attr, 'x')}}
		i.keepNames(0, []string{name})
		return nil
	case f.files.Kind() != bencode.List:
		return wrongKind("info.files", f.files, bencode.List)
	}
	names, n := newNamer(i.Name), 0
	for v := range f.files.Items() {
		if err := i.readFile(v, names, name); err != nil {
			return within(fmt.Sprintf("info.files[%d]", n), err)
		}
		n++
	}
	if len(names.taken) == 0 {
		return invalid("info.files", "names no file to be stored")
	}
	return nil
}

// readFile reads one entry of the list of files. Keys in its errors begin at
// the entry.
func (i *Info) readFile(v bencode.Value, names *namer, top string) error {
	if v.Kind() != bencode.Dict {
		return wrongKind("", v, bencode.Dict)
	}
	var attr, length, path, pathUTF8 bencode.Value
	for name, v := range v.Entries() {
		switch string(name) {
		case "attr":
			attr = v
		case "length":
			length = v
		case "path":
			path = v
		case "path.utf-8":
			pathUTF8 = v
		}
	}
	if hasAttr(attr, 'l') {
		return nil // A symbolic link has no bytes, and nothing in a torrent may lead elsewhere.
	}
	n, err := number(".length", length, 0, math.MaxInt64-i.Length)
	if err != nil {
		return err
	}
	if hasAttr(attr, 'p') {
		if len(i.Files) >= maxNames {
			return invalid("", "%v", errTooMany)
		}
		i.addPad(n)
		return nil
	}
	if path = preferred(pathUTF8, path, bencode.List); path.Kind() != bencode.List {
		return wrongKind(".path", path, bencode.List)
	}
	called := []string{top}
	var parts []string
	for part := range path.Items() {
		b, ok := part.Bytes()
		if !ok {
			return invalid(".path", "must hold strings and holds %s", part.Kind())
		}
		called = append(called, string(b))
		parts = append(parts, safeName(b))
	}
	if len(parts) == 0 {
		return invalid(".path", "is empty")
	}
	place, err := names.place(parts)
	if err != nil {
		return invalid(".path", "%v", err)
	}
	i.add(File{Path: place, Length: n, Executable: hasAttr(attr, 'x')})
	i.keepNames(len(i.Files)-1, called)
	return nil
}

// add puts a file behind those that are there.
func (i *Info) add(f File) {
	f.Offset = i.Length
	i.Length += f.Length
	i.Files = append(i.Files, f)
}

// addPad puts n bytes of padding behind the files that are there.
func (i *Info) addPad(n int64) {
	i.add(File{Path: fmt.Sprintf("%s/%s/%d", i.Name, padFolder, n), Length: n, Pad: true})
	i.padding += n
}

// padFolder is where padding files stand, by BEP 47's recommendation.
const padFolder = ".pad"

// checkCount makes sure that there is one hash for each piece.
func (i *Info) checkCount() error {
	want := i.Length / i.PieceLength
	if i.Length%i.PieceLength != 0 {
		want++
	}
	if have := int64(len(i.hashes) / sha1.Size); have != want {
		return invalid("info.pieces", "has the hashes of %d pieces, but %d bytes in pieces of %d are %d pieces",
			have, i.Length, i.PieceLength, want)
	}
	return nil
}

// preferred returns v if it is of the kind, and else fallback.
func preferred(v, fallback bencode.Value, kind bencode.Kind) bencode.Value {
	if v.Kind() == kind {
		return v
	}
	return fallback
}

// number reads the number under key, which must be from low to high.
func number(key string, v bencode.Value, low, high int64) (int64, error) {
	n, ok := v.Int()
	switch {
	case v.Kind() != bencode.Number:
		return 0, wrongKind(key, v, bencode.Number)
	case !ok:
		return 0, invalid(key, "is a number beyond 64 bits")
	case n < low || n > high:
		return 0, invalid(key, "is %d and must be from %d to %d", n, low, high)
	}
	return n, nil
}

// hasAttr says whether a file has an attribute (BEP 47).
func hasAttr(attr bencode.Value, c byte) bool {
	s, _ := attr.Bytes()
	return bytes.IndexByte(s, c) >= 0
}
