//go:build interop

package interop

import (
	"fmt"
	"testing"
)

// sealed is what is exchanged over encrypted connections.
var sealed = sample{"sealed", content{"sealed.img", map[string]int{"": 3<<20 + 7}}, 64 << 10, madeByUs, false}

// encrypting are the clients that take no connection whose handshake is not
// encrypted. What follows they leave to the other side.
var encrypting = []client{
	transmissionWith(daemon{encryption: "--encryption-required"}), aria2With("--bt-require-crypto=true"), libtorrentWith("encrypt"),
}

func TestEncryption(t *testing.T) {
	needClients(t)
	both := func(feature string, ours, theirs client) {
		for _, pair := range [][2]client{{ours, theirs}, {theirs, ours}} {
			t.Run(fmt.Sprintf("%s from %s to %s", feature, pair[0].name, pair[1].name), func(t *testing.T) {
				t.Parallel()
				record(t, feature, pair[0].name, pair[1].name)
				exchange(t, sealed, pair[0], pair[1])
			})
		}
	}
	for _, other := range encrypting {
		both("encryption: required by both", torrentOperatorWith("--encryption", "require"), other)
		both("encryption: required by it", torrentOperator, other)
	}
	const refused = "encryption: refused by it, preferred by us"
	for _, other := range []client{transmission, aria2} {
		cannot(t, refused, other.name, torrentOperator.name, "it always takes it")
		cannot(t, refused, torrentOperator.name, other.name, "it always takes it")
	}
	both(refused, torrentOperatorWith("--encryption", "prefer"), libtorrentClient)
}
