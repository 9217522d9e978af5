package wire

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// ExtendedHandshake is what each side says of itself once both have announced
// the extension protocol (BEP 10, "handshake message"). All of it is optional:
// zero is what was not said.
type ExtendedHandshake struct {
	// IDs are those under which the sender takes messages of each extension,
	// 0 of those that it does not take ("m").
	IDs          [extensions]uint8
	Client       string     // Name and version, printable ("v").
	Port         uint16     // That the sender listens on ("p").
	Requests     int        // That it lets wait without dropping any ("reqq").
	YourIP       netip.Addr // The receiver's, as the sender sees it ("yourip").
	MetadataSize int64      // Bytes of the info dictionary (BEP 9, "metadata_size").
	UploadOnly   bool       // It wants nothing, or nothing more (BEP 21, "upload_only").
	Encryption   bool       // It prefers encrypted connections ("e").
	Holepunch    bool       // It can be called through others (BEP 55, "ut_holepunch" in "m").
}

// SetExtensions says that we take these extensions, under our own ids.
func (h *ExtendedHandshake) SetExtensions(es ...Extension) {
	for _, e := range es {
		h.IDs[e] = uint8(e)
	}
}

// Append appends the bencoded handshake to dst and returns the result.
// Encryption and Holepunch are left out: they are only ever heard of others.
func (h *ExtendedHandshake) Append(dst []byte) []byte {
	dst = append(dst, "d1:md"...)
	for _, e := range []Extension{ExtDontHave, ExtUploadOnly, ExtMetadata, ExtPEX} { // In the order of their names.
		if h.IDs[e] != 0 {
			dst = appendInt(appendString(dst, extensionNames[e]), int64(h.IDs[e]))
		}
	}
	dst = append(dst, 'e')
	number := func(key string, n int64) {
		if n != 0 {
			dst = appendInt(appendString(dst, key), n)
		}
	}
	number("metadata_size", h.MetadataSize)
	number("p", int64(h.Port))
	number("reqq", int64(h.Requests))
	if h.UploadOnly {
		number("upload_only", 1)
	}
	if h.Client != "" {
		dst = appendString(appendString(dst, "v"), h.Client)
	}
	if h.YourIP.IsValid() {
		dst = appendString(appendString(dst, "yourip"), h.YourIP.Unmap().AsSlice())
	}
	return append(dst, 'e')
}

// Update reads a handshake into h. There may be several, and what one does not
// name stays as it was (BEP 10). Values that make no sense are passed over like
// unknown names. The error says that it is no handshake at all.
func (h *ExtendedHandshake) Update(content []byte) error {
	v, err := bencode.View(content, bencode.Limits{Size: maxExtendedHandshake, Depth: maxDepth})
	if err != nil {
		return fmt.Errorf("extension handshake: %w", err)
	}
	if v.Kind() != bencode.Dict {
		return errors.New("extension handshake: it is " + string(v.Kind()) + " instead of a dictionary")
	}
	for key, v := range v.Entries() {
		if string(key) == "m" {
			if v.Kind() != bencode.Dict {
				return errors.New(`extension handshake: "m" is ` + string(v.Kind()) + " instead of a dictionary")
			}
			h.updateIDs(v)
			continue
		}
		if n, ok := v.Int(); ok {
			h.updateNumber(string(key), n)
		} else if s, ok := v.Bytes(); ok {
			h.updateString(string(key), s)
		}
	}
	return nil
}

// updateIDs reads "m". An id of 0 takes the extension back.
func (h *ExtendedHandshake) updateIDs(m bencode.Value) {
	for name, v := range m.Entries() {
		n, ok := v.Int()
		if !ok || n < 0 || n > math.MaxUint8 {
			continue
		}
		if string(name) == "ut_holepunch" {
			h.Holepunch = n != 0
		}
		for e := ExtHandshake + 1; e < extensions; e++ {
			if string(name) == extensionNames[e] {
				h.IDs[e] = uint8(n)
			}
		}
	}
}

func (h *ExtendedHandshake) updateNumber(key string, n int64) {
	switch key {
	case "upload_only":
		h.UploadOnly = n != 0
	case "e":
		h.Encryption = n != 0
	}
	if n <= 0 {
		return
	}
	switch key {
	case "metadata_size":
		h.MetadataSize = n
	case "p":
		if n <= math.MaxUint16 {
			h.Port = uint16(n)
		}
	case "reqq":
		h.Requests = int(min(n, math.MaxInt32))
	}
}

func (h *ExtendedHandshake) updateString(key string, s []byte) {
	switch key {
	case "v":
		h.Client = Text(string(s), maxClient)
	case "yourip":
		if a, ok := netip.AddrFromSlice(s); ok {
			h.YourIP = a.Unmap()
		}
	}
}
