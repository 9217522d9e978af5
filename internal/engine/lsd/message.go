package lsd

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// announce says that torrents are wanted or had at a port of the sender (BEP 14,
// "Protocol").
type announce struct {
	port   uint16
	hashes [][20]byte
	cookie string // By which a sender knows its own; "" if there is none.
}

const request = "BT-SEARCH * HTTP/1.1"

// bytes returns the packet for a group.
func (a *announce) bytes(group string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\r\nHost: %s\r\nPort: %d\r\n", request, group, a.port)
	for _, h := range a.hashes {
		fmt.Fprintf(&b, "Infohash: %x\r\n", h)
	}
	fmt.Fprintf(&b, "cookie: %s\r\n\r\n\r\n", a.cookie)
	return b.Bytes()
}

// parse reads a packet, and returns false if it is no announce. Headers that it
// does not know, and info hashes that are none, are passed over.
func parse(b []byte) (announce, bool) {
	a := announce{}
	if len(b) > maxPacket {
		return a, false
	}
	line, rest, _ := strings.Cut(string(b), "\r\n")
	if line != request {
		return a, false
	}
	for rest != "" {
		if line, rest, _ = strings.Cut(rest, "\r\n"); line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "port":
			port, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return announce{}, false
			}
			a.port = uint16(port)
		case "infohash":
			if h, err := hex.DecodeString(value); err == nil && len(h) == 20 && len(a.hashes) < maxHashes {
				a.hashes = append(a.hashes, [20]byte(h))
			}
		case "cookie":
			a.cookie = value[:min(len(value), maxCookie)]
		}
	}
	return a, a.port != 0 && len(a.hashes) > 0
}
