package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What stands in paths, queries and user information of URLs may be a passkey,
// and must not come out, whatever becomes of the URL.
func TestDownloadTellsNoPasskeys(t *testing.T) {
	const secret = "s3cr3tPasskey"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reason := "unknown passkey in " + r.URL.String()
		switch {
		case strings.HasPrefix(r.URL.Path, "/works"):
			fmt.Fprint(w, "d8:intervali1800e5:peers0:e")
		case strings.HasPrefix(r.URL.Path, "/refuses"):
			fmt.Fprintf(w, "d14:failure reason%d:%se", len(reason), reason)
		case strings.HasPrefix(r.URL.Path, "/moves"):
			http.Redirect(w, r, "http://:bad port/"+secret, http.StatusFound)
		default:
			http.Error(w, reason, http.StatusNotFound)
		}
	}))
	defer s.Close()
	gone := "127.0.0.1:" + freePort(t)
	trackers := []string{
		s.URL + "/works/" + secret, s.URL + "/refuses?passkey=" + secret, s.URL + "/moves/" + secret, s.URL + "/missing/" + secret,
		strings.Replace(s.URL, "http://", "http://me:"+secret+"@", 1) + "/refuses", "http://" + gone + "/" + secret, "udp://" + gone + "/" + secret,
	}
	seeds := []string{s.URL + "/missing/" + secret + "/", s.URL + "/moves/?key=" + secret, "http://" + gone + "/" + secret + "/"}
	d := newDataset(t, 100_000)
	var flags []string
	for _, tracker := range trackers {
		flags = append(flags, "--tracker", tracker)
	}
	for _, seed := range seeds {
		flags = append(flags, "--web-seed", seed)
	}
	tried := map[string]bool{}
	_, stderr := follow(t, func(line string) bool {
		if strings.Contains(line, secret) {
			t.Error(line)
		}
		var p jsonProgress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Error(err)
		}
		for _, tracker := range p.Trackers {
			tried[tracker.URL] = tried[tracker.URL] || tracker.LastError != ""
		}
		return !tried[s.URL] && !tried["http://"+gone] // Until something has failed.
	}, append([]string{"download", "-o", t.TempDir(), "--port", freePort(t), "--json", d.file}, flags...)...)
	if strings.Contains(stderr, secret) {
		t.Error(stderr)
	}
}
