package dht

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Contact is a node: its id and where it is. The address is never one of IPv4
// in the clothes of IPv6.
type Contact struct {
	ID   ID
	Addr netip.AddrPort
}

// kind is what a message is: its "y" (BEP 5, "KRPC Protocol").
type kind byte

const (
	question kind = 'q'
	answer   kind = 'r'
	failure  kind = 'e'
)

// The methods of questions (BEP 5, "DHT Queries").
const (
	ping         = "ping"
	findNode     = "find_node"
	getPeers     = "get_peers"
	announcePeer = "announce_peer"
)

// The codes of errors (BEP 5, "Errors").
const (
	codeServer   = 202
	codeProtocol = 203
	codeMethod   = 204
)

// version is who we are to others ("v" in BEP 5): the client's two letters of
// BEP 20, and its version.
const version = "TO01"

// message is one packet. Which fields mean something depends on kind and method.
type message struct {
	kind        kind
	transaction []byte
	method      string
	readOnly    bool           // A question of a node that answers none (BEP 43).
	ip          netip.AddrPort // An answer: where the question came from (BEP 42).

	id      ID
	target  ID // What is looked for by find_node; the info hash of get_peers and announce_peer.
	token   []byte
	port    uint16
	implied bool // The port of announce_peer is that of the packet.

	want   [2]bool      // A question: nodes of which families (BEP 32).
	nodes  [2][]Contact // An answer: by family.
	values []netip.AddrPort

	code int64
	text string
}

// bytes returns the message as it stands on the wire. It trusts its caller.
func (m *message) bytes() []byte {
	b := []byte{'d'}
	switch m.kind {
	case question:
		b = m.arguments(append(b, "1:a"...))
		b = text(append(b, "1:q"...), m.method)
		if m.readOnly {
			b = append(b, "2:roi1e"...)
		}
	case answer:
		b = m.results(m.appendIP(b))
	case failure:
		b = append(strconv.AppendInt(append(b, "1:eli"...), m.code, 10), 'e')
		b = m.appendIP(append(text(b, m.text), 'e'))
	}
	b = text(append(b, "1:t"...), m.transaction)
	b = text(append(b, "1:v"...), version)
	return append(b, "1:y1:"+string(rune(m.kind))+"e"...)
}

// appendIP says where a question came from.
func (m *message) appendIP(b []byte) []byte {
	if !m.ip.IsValid() {
		return b
	}
	return text(append(b, "2:ip"...), appendAddr(nil, m.ip))
}

// arguments appends what a question asks for.
func (m *message) arguments(b []byte) []byte {
	b = text(append(b, "d2:id"...), m.id[:])
	switch m.method {
	case findNode:
		b = text(append(b, "6:target"...), m.target[:])
	case announcePeer:
		b = text(append(b, "9:info_hash"...), m.target[:])
		b = append(strconv.AppendUint(append(b, "4:porti"...), uint64(m.port), 10), 'e')
		b = text(append(b, "5:token"...), m.token)
	case getPeers:
		b = text(append(b, "9:info_hash"...), m.target[:])
	}
	if m.want[four] || m.want[six] {
		b = append(b, "4:wantl"...)
		if m.want[four] {
			b = append(b, "2:n4"...)
		}
		if m.want[six] {
			b = append(b, "2:n6"...)
		}
		b = append(b, 'e')
	}
	return append(b, 'e')
}

// results appends what a question is answered.
func (m *message) results(b []byte) []byte {
	b = text(append(b, "1:rd2:id"...), m.id[:])
	for f, key := range [...]string{"5:nodes", "6:nodes6"} {
		if m.nodes[f] != nil {
			var list []byte
			for _, c := range m.nodes[f] {
				list = appendAddr(append(list, c.ID[:]...), c.Addr)
			}
			b = text(append(b, key...), list)
		}
	}
	if m.token != nil {
		b = text(append(b, "5:token"...), m.token)
	}
	if len(m.values) > 0 {
		b = append(b, "6:valuesl"...)
		for _, v := range m.values {
			b = text(b, appendAddr(nil, v))
		}
		b = append(b, 'e')
	}
	return append(b, 'e')
}

// text appends a string.
func text[S []byte | string](b []byte, s S) []byte {
	return append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...)
}

// appendAddr appends an address and a port in 6 or 18 bytes (BEP 5 and 32,
// "Contact Encoding").
func appendAddr(b []byte, a netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
}
