package rival

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

func TestVersionIsTheFirstNumber(t *testing.T) {
	for says, want := range map[string]string{
		"2.0.8.0\n": "2.0.8.0",
		"aria2 version 1.36.0\nCopyright (C) 2006, 2019 Tatsuhiro\nzlib/1.2.13": "1.36.0",
		"transmission-daemon 3.00 (bb6b5a062e)\n":                               "3.00",
		"no version": "",
	} {
		if got := version(says); got != want {
			t.Errorf("version(%q) = %q, want %q", says, got, want)
		}
	}
}

func TestOnlyTheWholeLineMeansVerified(t *testing.T) {
	for line, want := range map[string]bool{
		"verified":                 true,
		"":                         false,
		"not verified":             false,
		"state_changed: verifying": false,
	} {
		if got := verified(line); got != want {
			t.Errorf("verified(%q) = %t, want %t", line, got, want)
		}
	}
}

func TestAria2ServesWhenItListens(t *testing.T) {
	for line, want := range map[string]bool{
		"11/22 10:46:20 [\x1b[1;32mNOTICE\x1b[0m] IPv4 BitTorrent: listening on TCP port 21003":             true,
		"11/22 10:46:20 [\x1b[1;32mNOTICE\x1b[0m] Verification finished successfully. file=payload/payload": false,
		"11/22 10:46:17 [\x1b[1;32mNOTICE\x1b[0m] Downloading 1 item(s)":                                    false,
	} {
		if got := aria2Listens(line); got != want {
			t.Errorf("aria2Listens(%q) = %t, want %t", line, got, want)
		}
	}
}

func TestTransmissionIsToldOfItsJob(t *testing.T) {
	torrent := filepath.Join(t.TempDir(), "a.torrent")
	if err := os.WriteFile(torrent, []byte("metainfo"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := rig.Job{Torrent: &rig.Torrent{File: torrent}, Dir: "/data", Scratch: t.TempDir(), Host: "127.0.0.9", Port: 4711}
	c, err := transmission("3.00").Leech(j)
	if err != nil {
		t.Fatal(err)
	}
	home := c.Args[len(c.Args)-1]
	b, err := os.ReadFile(filepath.Join(home, "settings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"bind-address-ipv4": "127.0.0.9", "peer-port": 4711.0, "download-dir": "/data",
		"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
	} {
		if got[key] != want {
			t.Errorf("settings.json says %q: %v, want %v", key, got[key], want)
		}
	}
	b, err = os.ReadFile(filepath.Join(got["watch-dir"].(string), "job.torrent"))
	if err != nil || string(b) != "metainfo" {
		t.Errorf("the watched folder has the torrent %q (%v), want a copy of the job's", b, err)
	}
	done := got["script-torrent-done-filename"].(string)
	if info, err := os.Stat(done); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("%s is to be called when done and cannot be: %v", done, err)
	}
}

func TestClientsListenWhereTheJobSays(t *testing.T) {
	j := rig.Job{Torrent: &rig.Torrent{File: "/in/a.torrent"}, Dir: "/data", Scratch: t.TempDir(), Host: "127.0.0.9", Port: 4711}
	for _, c := range []client{libtorrent("tuned", "2"), libtorrent("defaults", "2"), aria2("1")} {
		for role, prepare := range map[string]func(rig.Job) (rig.Command, error){"leech": c.Leech, "seed": c.Seed} {
			cmd, err := prepare(j)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(cmd.Args, " ")
			for _, want := range []string{"127.0.0.9", "4711", "/in/a.torrent", "/data"} {
				if !strings.Contains(said, want) {
					t.Errorf("%s, to %s, is called as %q, which lacks %s", c.Name(), role, said, want)
				}
			}
		}
	}
}
