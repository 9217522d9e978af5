package rival

import (
	"strconv"
	"strings"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// aria2 returns aria2, which says nothing when a download is complete that goes
// on to seed, but calls a program.
func aria2(version string) client {
	argv := func(j rig.Job, more ...string) []string {
		argv := []string{
			"aria2c", "--no-conf=true", "--console-log-level=notice", "--show-console-readout=false", "--summary-interval=0",
			"--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false",
			"--interface=" + j.Host, "--disable-ipv6=true", "--listen-port=" + strconv.Itoa(j.Port), "--dir=" + j.Dir,
			"--bt-max-peers=0", "--bt-max-open-files=5000", "--seed-ratio=0.0",
			"--file-allocation=falloc",
		}
		return append(append(argv, more...), j.Torrent.File)
	}
	return client{
		name:     "aria2",
		version:  version,
		settings: "files allocated by fallocate, no limit of peers; the disk cache as it comes, 16 MiB; files mapped to seed, but not to download",
		leech: func(j rig.Job) (rig.Command, error) {
			done, err := hook(j)
			return rig.Command{Args: argv(j, "--on-bt-download-complete="+done), Verified: verified}, err
		},
		seed: func(j rig.Job) (rig.Command, error) {
			return rig.Command{Args: argv(j, "--check-integrity=true", "--enable-mmap=true"), Verified: aria2Listens}, nil
		},
	}
}

// aria2Listens matches a line that aria2 writes after it has checked what is
// there.
func aria2Listens(line string) bool { return strings.Contains(line, "listening on TCP port") }
