package rival

import (
	_ "embed"
	"os"
	"path/filepath"
	"strconv"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// python is the system's own: its packages are of no use to another.
const python = "/usr/bin/python3"

//go:embed libtorrent_client.py
var libtorrentDriver []byte

// libtorrentSettings tells of each profile what it sets.
var libtorrentSettings = map[string]string{
	"tuned": "TCP without encryption; files preallocated and written with pwrite; a hashing thread for two cores and a disk thread a core, " +
		"one to seed; 64 MiB of queue to the disk, 3,000 requests on their way, large receive and moderate send buffers, " +
		"8,000 connections and all of them unchoked",
	"defaults": "as it comes, but without DHT, local discovery and port mapping, and with several connections from one address allowed",
}

// libtorrent returns libtorrent in one of the profiles of its driver, "tuned"
// or "defaults".
func libtorrent(profile, version string) client {
	role := func(role string) func(rig.Job) (rig.Command, error) {
		return func(j rig.Job) (rig.Command, error) {
			driver := filepath.Join(j.Scratch, "libtorrent_client.py")
			return rig.Command{
				Args:     []string{python, driver, profile, role, j.Torrent.File, j.Dir, j.Host, strconv.Itoa(j.Port)},
				Verified: verified,
			}, os.WriteFile(driver, libtorrentDriver, 0o644)
		}
	}
	return client{
		name:     "libtorrent, " + profile,
		version:  version,
		settings: libtorrentSettings[profile],
		leech:    role("leech"),
		seed:     role("seed"),
	}
}
