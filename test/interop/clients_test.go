//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// client is a BitTorrent program in both of its roles.
type client struct {
	name string
	// seed starts to serve the torrent from dir, where its content is.
	seed func(ctx context.Context, t *testing.T, torrent, dir string) *process
	// leech starts to download the torrent into dir.
	leech func(ctx context.Context, t *testing.T, torrent, dir string) transfer
	// dialed is set for a client that connects to no address of loopback that
	// it has from a tracker, and so has to be connected to.
	dialed bool
	// skipsEmpty is set for a client that makes no file that is empty.
	skipsEmpty bool
	// pads is set for a client that knows padding files (BEP 47), so it can
	// serve a torrent of them without having any.
	pads bool
}

// transfer is a leecher at work.
type transfer struct {
	*process
	complete func(ctx context.Context) error // Waits until all of it has come.
}

// untilExit is the download of a leecher that ends when it is complete.
func untilExit(p *process) transfer { return transfer{p, p.wait} }

var torrentOperator = torrentOperatorWith()

// torrentOperatorWith is torrent-operator with more flags.
func torrentOperatorWith(flags ...string) client {
	return client{
		name: "torrent-operator",
		pads: true,
		seed: func(ctx context.Context, t *testing.T, torrent, dir string) *process {
			seed := startDownload(t, "torrent-operator", torrent, dir, append(flags, "--seed")...)
			// It serves before that already, but what it has is not synced yet, so
			// stopping it would be an interruption.
			awaitState(ctx, t, seed, download.StateSeeding)
			return seed
		},
		leech: func(_ context.Context, t *testing.T, torrent, dir string) transfer {
			return untilExit(startDownload(t, "torrent-operator", torrent, dir, flags...))
		},
	}
}

const (
	python     = "/usr/bin/python3" // The system's own: Debian's libtorrent is of no use to another.
	libtorrent = "testdata/libtorrent_peer.py"
)

var libtorrentClient = libtorrentWith()

// libtorrentWith is libtorrent with options of its script.
func libtorrentWith(options ...string) client {
	return client{
		name: "libtorrent",
		pads: true,
		seed: func(_ context.Context, t *testing.T, torrent, dir string) *process {
			return startLibtorrent(t, "seed", torrent, dir, options...)
		},
		leech: func(_ context.Context, t *testing.T, torrent, dir string) transfer {
			return untilExit(startLibtorrent(t, "leech", torrent, dir, options...))
		},
	}
}

// startLibtorrent starts a peer that wants the files of an option, or all.
func startLibtorrent(t *testing.T, role, torrent, dir string, options ...string) *process {
	argv := []string{python, libtorrent, role, torrent, dir, strconv.Itoa(freeport.For(t))}
	return start(t, "libtorrent", program(append(argv, options...)...))
}

var aria2 = aria2With()

// aria2With is aria2 with more flags.
func aria2With(flags ...string) client {
	return client{
		name: "aria2",
		seed: func(_ context.Context, t *testing.T, torrent, dir string) *process {
			return startAria2(t, torrent, dir, append(flags, "--check-integrity=true", "--seed-ratio=0.0")...)
		},
		leech: func(_ context.Context, t *testing.T, torrent, dir string) transfer {
			return untilExit(startAria2(t, torrent, dir, append(flags, "--seed-time=0")...))
		},
	}
}

func startAria2(t *testing.T, torrent, dir string, more ...string) *process {
	argv := []string{
		"aria2c", "--no-conf=true", "--interface=127.0.0.1", "--disable-ipv6=true",
		"--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false",
		// It asks UDP trackers only if it has a DHT too, in which it is alone.
		"--enable-dht=true", "--dht-listen-port=" + strconv.Itoa(freeport.For(t)), "--dht-file-path=" + filepath.Join(t.TempDir(), "dht"),
		"--file-allocation=none", "--console-log-level=notice", "--summary-interval=5", "--show-console-readout=false",
		"--listen-port=" + strconv.Itoa(freeport.For(t)), "--dir=" + dir,
	}
	return start(t, "aria2", program(append(append(argv, more...), torrent)...))
}

// tolerated has transmission prefer connections that are not encrypted.
const tolerated = "--encryption-tolerated"

var transmission = transmissionWith(daemon{encryption: tolerated})

// transmissionWith is transmission with other settings.
func transmissionWith(d daemon) client {
	return client{
		name: "transmission",
		seed: func(ctx context.Context, t *testing.T, torrent, dir string) *process {
			return d.start(ctx, t, torrent, dir).process
		},
		leech:      d.start,
		dialed:     true,
		skipsEmpty: true,
	}
}

// daemon is how transmission is to be started.
type daemon struct {
	encryption string         // A flag.
	files      string         // Those that are wanted, by numbers with commas between them; "" is all.
	settings   map[string]any // Beyond those that all have.
	client     http.Client    // That reaches it.
}

// start starts a daemon that knows one torrent, and looks after what is in dir
// already.
func (d daemon) start(ctx context.Context, t *testing.T, torrent, dir string) transfer {
	rpc, config := freeport.For(t), t.TempDir()
	all := map[string]any{
		"bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1", "peer-port": freeport.For(t),
		"rpc-bind-address": "127.0.0.1", "rpc-port": rpc, "rpc-authentication-required": false,
		"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
		"port-forwarding-enabled": false, "ratio-limit-enabled": false,
		"preallocation": 0, "download-dir": dir, "message-level": 3,
	}
	maps.Copy(all, d.settings)
	settings, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "settings.json"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "transmission", program("transmission-daemon", "--foreground", "--config-dir", config, d.encryption))
	remote := &transmissionRPC{client: d.client, url: fmt.Sprintf("http://127.0.0.1:%d/transmission/rpc", rpc)}
	err = await(ctx, "transmission to answer", func() (bool, error) {
		return remote.call(ctx, "session-get", nil, nil) == nil, nil
	}, p)
	if err == nil {
		add := map[string]any{"filename": torrent, "download-dir": dir}
		if d.files != "" {
			add["files-wanted"], add["files-unwanted"] = json.RawMessage("["+d.files+"]"), json.RawMessage("[]")
			if rest := unwanted(t, torrent); rest != "" {
				add["files-unwanted"] = json.RawMessage("[" + rest + "]")
			}
		}
		err = remote.call(ctx, "torrent-add", add, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return transfer{p, func(ctx context.Context) error {
		return await(ctx, "transmission to complete", func() (bool, error) { return remote.complete(ctx) }, p)
	}}
}

// transmissionRPC speaks transmission's JSON over HTTP.
type transmissionRPC struct {
	client       http.Client
	url, session string
}

// complete reports whether the daemon's one torrent is all there.
func (r *transmissionRPC) complete(ctx context.Context) (bool, error) {
	var reply struct {
		Torrents []struct {
			LeftUntilDone int64
			PercentDone   float64
			Error         int
			ErrorString   string
		}
	}
	fields := []string{"leftUntilDone", "percentDone", "error", "errorString"}
	if err := r.call(ctx, "torrent-get", map[string]any{"fields": fields}, &reply); err != nil {
		return false, err
	}
	if len(reply.Torrents) != 1 {
		return false, fmt.Errorf("transmission has %d torrents and should have one", len(reply.Torrents))
	}
	torrent := reply.Torrents[0]
	const localError = 3
	if torrent.Error == localError {
		return false, fmt.Errorf("transmission: %s", torrent.ErrorString)
	}
	return torrent.PercentDone == 1 && torrent.LeftUntilDone == 0, nil
}

// call calls a method; reply receives its result's arguments unless it is nil.
func (r *transmissionRPC) call(ctx context.Context, method string, arguments, reply any) error {
	body, err := json.Marshal(map[string]any{"method": method, "arguments": arguments})
	if err != nil {
		return err
	}
	resp, err := r.post(ctx, body)
	if err == nil && resp.StatusCode == http.StatusConflict { // The first answer only gives the key of a session.
		resp.Body.Close()
		r.session = resp.Header.Get("X-Transmission-Session-Id")
		resp, err = r.post(ctx, body)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Result    string
		Arguments any
	}{Arguments: reply}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Result != "success" {
		return fmt.Errorf("transmission answered %s to %s: %s", resp.Status, method, b)
	}
	return nil
}

func (r *transmissionRPC) post(ctx context.Context, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Transmission-Session-Id", r.session)
	return r.client.Do(req)
}
