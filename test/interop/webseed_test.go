//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// webServers are programs that serve a folder over HTTP, and how each does.
var webServers = []struct {
	feature, name string
	serve         func(ctx context.Context, t *testing.T, dir string) (url string)
}{
	{"web seed: with ranges", "nginx", func(ctx context.Context, t *testing.T, dir string) string {
		return startNginx(ctx, t, dir, "", "")
	}},
	{"web seed: without ranges", "Python's http.server", startPythonServer},
}

func TestATorrentComesFromAWebServerAlone(t *testing.T) {
	needClients(t)
	for _, w := range webServers {
		for _, s := range samples {
			t.Run(w.name+", "+s.name, func(t *testing.T) {
				t.Parallel()
				record(t, w.feature, w.name, torrentOperator.name)
				ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
				defer cancel()
				from, to := t.TempDir(), t.TempDir()
				s.content.write(t, from)
				torrent := filepath.Join(t.TempDir(), "sample.torrent")
				s.maker.make(t, torrent, filepath.Join(from, s.content.name), s.pieceLength, announceURL(freeport.For(t)))
				down := untilExit(startDownload(t, torrentOperator.name, torrent, to, "--web-seed", w.serve(ctx, t, from)+"/"))
				if err := down.complete(ctx); err != nil {
					t.Fatal(err)
				}
				finish(t, s, torrentOperator, down, from, to)
			})
		}
	}
}

func TestAWebSeedOverTLSWithAnOwnCA(t *testing.T) {
	needClients(t)
	record(t, "web seed: TLS with an own CA", "nginx", torrentOperator.name)
	ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
	defer cancel()
	s, from, to, keys := samples[1], t.TempDir(), t.TempDir(), t.TempDir()
	s.content.write(t, from)
	torrent := filepath.Join(keys, "sample.torrent")
	s.maker.make(t, torrent, filepath.Join(from, s.content.name), s.pieceLength, announceURL(freeport.For(t)))
	certificate, key := filepath.Join(keys, "certificate.pem"), filepath.Join(keys, "key.pem")
	writeCertificate(t, certificate, key)
	url := startNginx(ctx, t, from, certificate, key)
	down := untilExit(startDownload(t, torrentOperator.name, torrent, to, "--web-seed", url, "--ca-bundle", url+"="+certificate))
	if err := down.complete(ctx); err != nil {
		t.Fatal(err)
	}
	finish(t, s, torrentOperator, down, from, to)
}

// The url-list that we write is what others understand.
func TestOthersUseTheWebSeedsOfOurTorrents(t *testing.T) {
	needClients(t)
	for _, other := range others {
		t.Run(other.name, func(t *testing.T) {
			t.Parallel()
			record(t, "web seed: url-list", torrentOperator.name, other.name)
			ctx, cancel := context.WithTimeoutCause(t.Context(), exchangeTimeout, fmt.Errorf("not done within %s", exchangeTimeout))
			defer cancel()
			s, from, to := samples[1], t.TempDir(), t.TempDir()
			s.content.write(t, from)
			torrent := filepath.Join(t.TempDir(), "sample.torrent")
			url := startNginx(ctx, t, from, "", "")
			run(t, command, "create", filepath.Join(from, s.content.name), "--output", torrent, "--web-seed", url+"/")
			down := other.leech(ctx, t, torrent, to)
			if err := down.complete(ctx); err != nil {
				t.Fatal(err)
			}
			finish(t, s, other, down, from, to)
		})
	}
}

// startNginx serves dir, over TLS if it is given a certificate.
func startNginx(ctx context.Context, t *testing.T, dir, certificate, key string) (url string) {
	t.Helper()
	port, home := freeport.For(t), t.TempDir()
	listen, url := fmt.Sprintf("listen 127.0.0.1:%d;", port), fmt.Sprintf("http://127.0.0.1:%d", port)
	if certificate != "" {
		listen = fmt.Sprintf("listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;", port, certificate, key)
		url = fmt.Sprintf("https://127.0.0.1:%d", port)
	}
	user := ""
	if os.Getuid() == 0 { // Temporary folders of tests are the user's own.
		user = "user root;"
	}
	config := fmt.Sprintf(`%s daemon off; pid %[2]s/pid; error_log stderr; events {}
		http {
			access_log off; sendfile on; client_body_temp_path %[2]s/a; proxy_temp_path %[2]s/b;
			fastcgi_temp_path %[2]s/c; uwsgi_temp_path %[2]s/d; scgi_temp_path %[2]s/e;
			server { %s root "%s"; }
		}`, user, home, listen, dir)
	file := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "nginx", program("nginx", "-p", home, "-c", file, "-e", "stderr"))
	awaitPort(ctx, t, p, port)
	return url
}

// startPythonServer serves dir with the server that every machine has, which
// knows no ranges.
func startPythonServer(ctx context.Context, t *testing.T, dir string) (url string) {
	t.Helper()
	port := freeport.For(t)
	p := start(t, "Python's http.server", program(python, "-m", "http.server", "--bind", "127.0.0.1", "--directory", dir, strconv.Itoa(port)))
	awaitPort(ctx, t, p, port)
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}

func awaitPort(ctx context.Context, t *testing.T, p *process, port int) {
	t.Helper()
	if err := await(ctx, p.name+" to listen", func() (bool, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil, nil
	}, p); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes a certificate for loopback that vouches for itself.
func writeCertificate(t *testing.T, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "interop"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		var b bytes.Buffer
		if err := pem.Encode(&b, block); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
