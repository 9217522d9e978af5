package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// ContactFlags is what is said of a contact in a peer exchange (BEP 11).
type ContactFlags uint8

// The flags of BEP 11.
const (
	PrefersEncryption ContactFlags = 0x01
	WantsNothing      ContactFlags = 0x02 // A seed, or upload_only (BEP 21).
	SpeaksUTP         ContactFlags = 0x04
	SpeaksHolepunch   ContactFlags = 0x08
	Reachable         ContactFlags = 0x10 // The sender has called it.
)

// Contact is a peer to whom another one is connected.
type Contact struct {
	Addr  netip.AddrPort
	Flags ContactFlags
}

// PEX is a message of the peer exchange (BEP 11, "ut_pex"): to whom the sender
// is connected now and was not when it sent the last one, and the other way
// round.
type PEX struct {
	Added   []Contact
	Dropped []netip.AddrPort
}

// Append appends the content of the message to dst and returns the result.
func (x *PEX) Append(dst []byte) []byte {
	var added, dropped [2][]byte // IPv4, IPv6.
	var flags [2][]byte
	for _, c := range x.Added {
		f := family(c.Addr)
		added[f] = appendContact(added[f], c.Addr)
		flags[f] = append(flags[f], byte(c.Flags))
	}
	for _, a := range x.Dropped {
		dropped[family(a)] = appendContact(dropped[family(a)], a)
	}
	dst = append(dst, 'd')
	field := func(key string, s []byte) {
		if len(s) > 0 {
			dst = appendString(appendString(dst, key), s)
		}
	}
	field("added", added[0])
	field("added.f", flags[0])
	field("added6", added[1])
	field("added6.f", flags[1])
	field("dropped", dropped[0])
	field("dropped6", dropped[1])
	return append(dst, 'e')
}

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.AddrPort) int {
	if a.Addr().Unmap().Is4() {
		return 0
	}
	return 1
}

// appendContact appends a in compact form (BEP 23 and 7).
func appendContact(dst []byte, a netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(append(dst, a.Addr().Unmap().AsSlice()...), a.Port())
}

// ParsePEX reads the content of a peer exchange message. Of what is added and
// of what is dropped it returns [MaxContacts] at most. Flags may be missing.
func ParsePEX(content []byte) (PEX, error) {
	var x PEX
	v, err := bencode.View(content, bencode.Limits{Size: maxPEX, Depth: maxDepth})
	if err != nil {
		return x, fmt.Errorf("peer exchange: %w", err)
	}
	if v.Kind() != bencode.Dict {
		return x, errors.New("peer exchange: it is " + string(v.Kind()) + " instead of a dictionary")
	}
	fields := map[string][]byte{"added": nil, "added.f": nil, "added6": nil, "added6.f": nil, "dropped": nil, "dropped6": nil}
	for key, v := range v.Entries() {
		if _, known := fields[string(key)]; !known {
			continue
		}
		s, ok := v.Bytes()
		if !ok {
			return x, fmt.Errorf("peer exchange: %q is %s instead of a string", key, v.Kind())
		}
		fields[string(key)] = s
	}
	for key, width := range map[string]int{"added": 6, "added6": 18, "dropped": 6, "dropped6": 18} {
		if len(fields[key])%width != 0 {
			return x, fmt.Errorf("peer exchange: %q has %d bytes, which is no multiple of %d", key, len(fields[key]), width)
		}
	}
	x.Added = parseContacts(x.Added, fields["added"], fields["added.f"], 4)
	x.Added = parseContacts(x.Added, fields["added6"], fields["added6.f"], 16)
	for _, c := range parseContacts(parseContacts(nil, fields["dropped"], nil, 4), fields["dropped6"], nil, 16) {
		x.Dropped = append(x.Dropped, c.Addr)
	}
	return x, nil
}

// parseContacts appends contacts in compact form, whose addresses have that
// many bytes, to dst as far as there is room.
func parseContacts(dst []Contact, s, flags []byte, ip int) []Contact {
	for i := 0; len(s) > 0 && len(dst) < MaxContacts; i++ {
		a, _ := netip.AddrFromSlice(s[:ip]) // Has 4 or 16 bytes.
		c := Contact{Addr: netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(s[ip:]))}
		if i < len(flags) {
			c.Flags = ContactFlags(flags[i])
		}
		dst = append(dst, c)
		s = s[ip+2:]
	}
	return dst
}
