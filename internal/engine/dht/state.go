package dht

import (
	"fmt"
	"strconv"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// State is what is worth to be kept for the next start, by family.
type State [2]Known

// Known is what is kept of one network.
type Known struct {
	ID    ID        // Ours; zero if there is none.
	Nodes []Contact // At most maxSaved.
}

// The keys of a kept state, by family.
var stateKeys = [2]struct {
	id, nodes string
	addr      int
}{{"id", "nodes", 4}, {"id6", "nodes6", 16}}

// append appends the state as it is kept. The ids are those of the node at a
// port: two programs that run at once have two ports, and must not share them.
func (s State) append(port int) []byte {
	b := []byte{'d'}
	for f, key := range stateKeys {
		b = text(text(b, key.id), s[f].ID[:])
	}
	for f, key := range stateKeys {
		var list []byte
		for _, c := range s[f].Nodes {
			list = appendAddr(append(list, c.ID[:]...), c.Addr)
		}
		b = text(text(b, key.nodes), list)
	}
	return append(strconv.AppendInt(append(text(b, "port"), 'i'), int64(port), 10), "ee"...)
}

// parseState reads what append has written. Ids of another port are not taken.
func parseState(b []byte, port int) (s State, err error) {
	v, err := bencode.View(b, bencode.Limits{Size: maxState, Depth: 1})
	if err != nil {
		return State{}, fmt.Errorf("the file of the known nodes is damaged: %w", err)
	}
	samePort := false
	for k, v := range v.Entries() {
		b, _ := v.Bytes()
		if n, ok := v.Int(); ok && string(k) == "port" {
			samePort = n == int64(port)
		}
		for f, key := range stateKeys {
			switch string(k) {
			case key.id:
				readID(&s[f].ID, b)
			case key.nodes:
				if s[f].Nodes, err = readNodes(b, key.addr, maxSaved); err != nil {
					return State{}, fmt.Errorf("the file of the known nodes is damaged: %w", err)
				}
			}
		}
	}
	for f := range s {
		if !samePort {
			s[f].ID = ID{}
		}
	}
	return s, nil
}
