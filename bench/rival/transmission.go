package rival

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// transmission returns transmission's daemon, which takes its one torrent from a
// folder that it watches. It asks a peer for something up to ten seconds after
// it connected, when it next decides whom to ask.
func transmission(version string) client {
	role := func(j rig.Job) (rig.Command, error) {
		home := filepath.Join(j.Scratch, "transmission")
		return rig.Command{
			Args:     []string{"transmission-daemon", "--foreground", "--config-dir", home},
			Verified: verified,
		}, prepareTransmission(j, home)
	}
	return client{
		name:     "transmission",
		version:  version,
		settings: "no uTP, plain text where the peer agrees, 256 MiB of cache, 1,000 peers and upload slots, no preallocation",
		leech:    role,
		seed:     role, // It checks what is there before anything else.
	}
}

// prepareTransmission writes the folder of settings and state for a daemon
// that carries out the job.
func prepareTransmission(j rig.Job, home string) error {
	watched := filepath.Join(home, "watched")
	if err := os.MkdirAll(watched, 0o755); err != nil {
		return err
	}
	done, err := hook(j)
	if err != nil {
		return err
	}
	settings, err := json.MarshalIndent(transmissionSettings(j, watched, done), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "settings.json"), settings, 0o644); err != nil {
		return err
	}
	// The daemon renames what it has taken from a watched folder.
	torrent, err := os.ReadFile(j.Torrent.File)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(watched, "job.torrent"), torrent, 0o644)
}

// transmissionSettings returns what settings.json holds. It calls the program
// done when the download is complete, or was found to be.
func transmissionSettings(j rig.Job, watched, done string) map[string]any {
	return map[string]any{
		"bind-address-ipv4": j.Host, "bind-address-ipv6": "::1", "peer-port": j.Port, "rpc-enabled": false,
		"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "port-forwarding-enabled": false,
		"utp-enabled": false, "encryption": 0, // Tolerated, not preferred.
		"peer-limit-global": 1000, "peer-limit-per-torrent": 1000, "upload-slots-per-torrent": 1000,
		"speed-limit-down-enabled": false, "speed-limit-up-enabled": false, "ratio-limit-enabled": false,
		"cache-size-mb": 256, "preallocation": 0, "rename-partial-files": false,
		"download-dir": j.Dir, "watch-dir-enabled": true, "watch-dir": watched,
		"script-torrent-done-enabled": true, "script-torrent-done-filename": done,
		"message-level": 1, // Errors.
	}
}
