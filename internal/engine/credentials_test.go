package engine

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestTrackersGetTheCredentialsThatAreGivenNow(t *testing.T) {
	got := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "d8:intervali1800e5:peers0:e")
		got <- r.URL.Path + " " + r.URL.Query().Get("event") + " " + r.Header.Get("Authorization")
	}))
	defer s.Close()
	await := func(want string) {
		t.Helper()
		select {
		case g := <-got:
			if g != want {
				t.Fatalf("the tracker was told %q, want %q", g, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the tracker was not told %q", want)
		}
	}
	key := func(token string) []download.Credential {
		return []download.Credential{{Origin: s.URL, Headers: map[string]string{"Authorization": token}}}
	}
	root := content{"data": 1 << 20}.write(t, "content")
	seeding := download.Seeding{Policy: download.SeedForever}
	tor, err := newTestEngine(t, Config{}).Add(Spec{
		Metainfo: create(t, root, 16<<10, s.URL+"/own"), Dir: filepath.Dir(root), Seeding: seeding, Credentials: key("old"),
	})
	if err != nil {
		t.Fatal(err)
	}
	await("/own started old")
	tor.Update(Update{Trackers: []string{s.URL + "/added"}, Seeding: seeding, Credentials: key("new")})
	await("/added started new")
	tor.Update(Update{Trackers: []string{s.URL + "/added", s.URL + "/last"}, Seeding: seeding})
	await("/last started ")
}

func TestWebSeedsGetTheCredentialsThatAreForThem(t *testing.T) {
	root := content{"data": 1 << 20}.write(t, "content")
	files := http.FileServer(http.Dir(filepath.Dir(root)))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer s.Close()
	tor, err := newTestEngine(t, Config{}).Add(Spec{
		Metainfo: create(t, root, 16<<10, ""), Dir: t.TempDir(), WebSeeds: []string{s.URL + "/"},
		Credentials: []download.Credential{{
			Origin: s.URL, Headers: map[string]string{"Authorization": "Bearer k"},
			CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, tor, "complete", func(p *download.Progress) bool { return !p.CompletedAt.IsZero() })
}
