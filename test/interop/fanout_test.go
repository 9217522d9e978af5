//go:build interop

package interop

import (
	"context"
	"fmt"
	"testing"
)

// One torrent-operator serves all other clients at once, which may serve each
// other as well.
func TestSeedToAllClientsAtOnce(t *testing.T) {
	needClients(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
	defer cancel()
	s := sample{"to all", content{"shared.img", map[string]int{"": 24<<20 + 99}}, 128 << 10, madeByUs, false}
	from := t.TempDir()
	torrent, tracker := publish(t, s, from)
	var seed *process
	for _, other := range others {
		record(t, "all clients at once", torrentOperator.name, other.name)
	}
	downs, dirs := make([]transfer, len(others)), make([]string, len(others))
	for i, other := range others { // The ones that have to be dialed come first in this list.
		if !other.dialed && seed == nil {
			// Slow enough that no client is done before the others begin.
			seed = startDownload(t, "torrent-operator", torrent, from, "--seed", "--limit-up", "1MiB")
			tracker.awaitSeeds(ctx, t, seed)
		}
		dirs[i] = t.TempDir()
		downs[i] = other.leech(ctx, t, torrent, dirs[i])
		if other.dialed {
			tracker.awaitLeechers(ctx, t, downs[i].process)
		}
	}
	for _, down := range downs {
		if err := down.complete(ctx); err != nil {
			t.Error(err)
		}
	}
	for i, down := range downs {
		finish(t, s, others[i], down, from, dirs[i])
	}
	if err := seed.stop(); err != nil {
		t.Errorf("%s, when told to stop: %v", seed.name, err)
	}
	most := 0
	for _, snapshot := range seed.progress(t) {
		most = max(most, snapshot.Peers.Connected)
	}
	if most < len(others) {
		t.Errorf("the seed was never connected to more than %d of %d clients at a time", most, len(others))
	}
}
