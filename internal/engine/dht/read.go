package dht

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

var errMessage = errors.New("no message of the DHT")

// parse reads a packet. Its fields share the packet's memory. The error is
// matched by [errMessage] if it is bencoding and yet no message.
func parse(b []byte) (m message, err error) {
	v, err := bencode.View(b, bencode.Limits{Size: maxPacket, Depth: maxDepth})
	if err != nil {
		return m, err
	}
	var body [3]bencode.Value // "a", "r" and "e".
	for key, v := range v.Entries() {
		s, _ := v.Bytes()
		switch string(key) {
		case "a":
			body[0] = v
		case "r":
			body[1] = v
		case "e":
			body[2] = v
		case "q":
			m.method = string(s[:min(len(s), maxText)])
		case "t":
			m.transaction = s
		case "y":
			if len(s) == 1 {
				m.kind = kind(s[0])
			}
		case "ro":
			n, _ := v.Int()
			m.readOnly = n == 1
		case "ip":
			m.ip, _ = parseAddr(s)
		}
	}
	if n := len(m.transaction); n == 0 || n > maxTransaction {
		return m, fmt.Errorf("%w: its transaction id has %d bytes, which may have 1 to %d", errMessage, n, maxTransaction)
	}
	switch m.kind {
	case question:
		return m, m.readArguments(body[0])
	case answer:
		return m, m.readResults(body[1])
	case failure:
		m.readError(body[2])
		return m, nil
	}
	return m, fmt.Errorf("%w: it is neither a question nor an answer nor an error", errMessage)
}

// readArguments reads what a question asks for. Whether it is complete depends
// on its method, which is looked at when it is answered.
func (m *message) readArguments(v bencode.Value) error {
	has := false
	for key, v := range v.Entries() {
		s, _ := v.Bytes()
		switch string(key) {
		case "id":
			has = readID(&m.id, s)
		case "target", "info_hash":
			if !readID(&m.target, s) {
				return fmt.Errorf("%w: its %s has %d bytes instead of 20", errMessage, key, len(s))
			}
		case "port":
			if n, ok := v.Int(); ok && n > 0 && n <= 65535 {
				m.port = uint16(n)
			}
		case "implied_port":
			n, _ := v.Int()
			m.implied = n != 0
		case "token":
			m.token = s
		case "want":
			m.readWant(v)
		}
	}
	return m.complete(has)
}

func (m *message) readWant(v bencode.Value) {
	for v := range v.Items() {
		switch s, _ := v.Bytes(); string(s) {
		case "n4":
			m.want[four] = true
		case "n6":
			m.want[six] = true
		}
	}
}

// readResults reads an answer.
func (m *message) readResults(v bencode.Value) error {
	has := false
	for key, v := range v.Entries() {
		s, _ := v.Bytes()
		var err error
		switch string(key) {
		case "id":
			has = readID(&m.id, s)
		case "nodes":
			m.nodes[four], err = readNodes(s, 4, maxNodes)
		case "nodes6":
			m.nodes[six], err = readNodes(s, 16, maxNodes)
		case "token":
			m.token = s
		case "values":
			m.readValues(v)
		}
		if err != nil {
			return err
		}
	}
	return m.complete(has)
}

// complete checks what questions and answers have in common.
func (m *message) complete(hasID bool) error {
	if !hasID {
		return fmt.Errorf("%w: it has no id of 20 bytes", errMessage)
	}
	if len(m.token) > maxToken {
		return fmt.Errorf("%w: its token has %d bytes, which may have %d", errMessage, len(m.token), maxToken)
	}
	return nil
}

// readValues reads peers, of both families (BEP 32, "values"). What is none is
// passed over.
func (m *message) readValues(v bencode.Value) {
	for v := range v.Items() {
		if len(m.values) == maxValues {
			return
		}
		s, _ := v.Bytes()
		if a, ok := parseAddr(s); ok && usable(a) {
			m.values = append(m.values, a)
		}
	}
}

func (m *message) readError(v bencode.Value) {
	i := 0
	for v := range v.Items() {
		switch i++; i {
		case 1:
			m.code, _ = v.Int()
		case 2:
			s, _ := v.Bytes()
			m.text = string(s[:min(len(s), maxText)])
		}
	}
}

// readNodes reads up to most compact node infos with addresses of so many
// bytes. Nodes that can't be sent to are passed over.
func readNodes(s []byte, addr, most int) (list []Contact, err error) {
	size := len(ID{}) + addr + 2
	if len(s)%size != 0 {
		return nil, fmt.Errorf("%w: its nodes are %d bytes, which is no multiple of %d", errMessage, len(s), size)
	}
	for ; len(s) > 0 && len(list) < most; s = s[size:] {
		var c Contact
		copy(c.ID[:], s)
		if c.Addr, _ = parseAddr(s[len(c.ID):size]); usable(c.Addr) {
			list = append(list, c)
		}
	}
	return list, nil
}

func readID(id *ID, s []byte) bool { return copy(id[:], s) == len(id) && len(s) == len(id) }

// parseAddr reads an address and a port of 6 or 18 bytes.
func parseAddr(s []byte) (netip.AddrPort, bool) {
	if len(s) != 6 && len(s) != 18 {
		return netip.AddrPort{}, false
	}
	a, _ := netip.AddrFromSlice(s[:len(s)-2])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(s[len(s)-2:])), true
}
