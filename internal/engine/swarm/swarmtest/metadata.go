package swarmtest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/swarm"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// openTime is how long files take to be opened and checked once the info
// dictionary is known.
const openTime = 300 * time.Millisecond

// metadata returns so many bytes for an info dictionary, nil for none.
func metadata(seed uint64, n int) []byte {
	if n == 0 {
		return nil
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rng := rand.NewChaCha8(key)
	rng.Read(b)
	return b
}

// resolved is the end of looking for the info dictionary.
func (n *node) resolved(info []byte) {
	if !bytes.Equal(info, n.w.metadata) {
		n.w.fail("node %d took a wrong info dictionary", n.index)
	}
	n.learned = true
	does := func(fx *swarm.Effects) {
		n.w.record(n, fx)
		n.carryOut(fx)
	}
	does(n.swarm.Learn(start.Add(n.w.now), info, n.config.Private))
	n.w.after(openTime, func() {
		if n.left {
			return
		}
		does(n.swarm.Resolve(start.Add(n.w.now), n.config))
		n.handle()
	})
}

// distort returns a message as a node sends it, and whether that is a lie.
func (n *node) distort(m wire.Message) (wire.Message, bool) {
	if n.c.LiesOfTorrent == 0 || m.ID != wire.Extended {
		return m, false
	}
	e, content := m.Extension()
	if e != wire.ExtMetadata { // All here use the same ids.
		return m, false
	}
	said, err := wire.ParseMetadata(content)
	if err != nil || said.Kind != wire.MetadataData || n.w.rng.Float64() >= n.c.LiesOfTorrent {
		return m, false
	}
	m.Payload = bytes.Clone(m.Payload)
	m.Payload[len(m.Payload)-1] ^= 1
	return m, true
}
