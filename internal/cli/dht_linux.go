package cli

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/torrent-operator/torrent-operator/internal/engine"
)

// dhtEnv is the variable that says whether downloads take part in the DHT where
// the flag does not.
const dhtEnv = "TORRENT_OPERATOR_DHT"

// dhtDefault is true unless the environment says otherwise.
func dhtDefault() bool {
	on, err := strconv.ParseBool(os.Getenv(dhtEnv))
	return on || err != nil
}

// discovery says how the flags want the engine to take part in the DHT. What it
// learns is kept in the user's cache folder; without one, each start begins
// with --dht-bootstrap.
func (f *downloadFlags) discovery() *engine.DHT {
	if !f.dht {
		return nil
	}
	d := &engine.DHT{Bootstrap: f.bootstrap}
	if cache, err := os.UserCacheDir(); err == nil {
		d.File = filepath.Join(cache, "torrent-operator", "dht")
	}
	return d
}
