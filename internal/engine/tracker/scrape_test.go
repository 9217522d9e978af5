package tracker

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBEP48TheScrapeURLIsMadeOfTheAnnounceURL(t *testing.T) {
	hash := everyByte('a')
	for in, want := range map[string]string{
		"http://t.example/announce":             "http://t.example/scrape?info_hash=abcdefghijklmnopqrst",
		"http://t.example/x/announce":           "http://t.example/x/scrape?info_hash=abcdefghijklmnopqrst",
		"http://t.example/announce.php":         "http://t.example/scrape.php?info_hash=abcdefghijklmnopqrst",
		"https://t.example/key/announce?a=b":    "https://t.example/key/scrape?a=b&info_hash=abcdefghijklmnopqrst",
		"http://t.example/announce?x2%0644":     "http://t.example/scrape?x2%0644&info_hash=abcdefghijklmnopqrst",
		"http://t.example/announce/announce":    "http://t.example/announce/scrape?info_hash=abcdefghijklmnopqrst",
		"http://t.example/a%2Fb/announce":       "http://t.example/a%2Fb/scrape?info_hash=abcdefghijklmnopqrst",
		"http://t.example//announce":            "http://t.example//scrape?info_hash=abcdefghijklmnopqrst",
		"http://u:p@t.example:81//e.x/announce": "http://u:p@t.example:81//e.x/scrape?info_hash=abcdefghijklmnopqrst",
		"http://t.example/a":                    "",
		"http://t.example":                      "",
		"http://t.example/announce/":            "",
		"http://t.example/announce/x":           "",
		"http://t.example/x%2Fannounce":         "",
		"http://t.example/?announce":            "",
	} {
		u, err := parseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := scrapeURL(u, hash)
		switch {
		case want == "" && !errors.Is(err, ErrUnsupported):
			t.Errorf("%s: %v, %v", in, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%s: %v, %v, want %s", in, got, err, want)
		}
	}
}

func TestBEP48AScrapeReply(t *testing.T) {
	hash := [20]byte([]byte("abcdefghijklmnopqrst"))
	for _, c := range []struct {
		body         string
		seeds, peers int
		err          string
	}{
		{"d5:filesd20:abcdefghijklmnopqrstd8:completei3e10:downloadedi9e10:incompletei4eeee", 3, 4, ""},
		{"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1ee20:abcdefghijklmnopqrstd8:completei3e10:incompletei4eeee", 3, 4, ""},
		{"d5:filesd20:abcdefghijklmnopqrstd8:completei3eeee", 3, -1, ""},
		{"d5:filesd20:abcdefghijklmnopqrstd8:completei-3e10:incomplete1:xeee", -1, -1, ""},
		{"d5:filesd20:abcdefghijklmnopqrstdeee", -1, -1, ""},
		{"d5:filesdee", 0, 0, "does not tell of the torrent"},
		{"d5:filesd20:abcdefghijklmnopqrsuleee", 0, 0, "does not tell of the torrent"},
		{"d5:filesi7ee", 0, 0, "does not tell of the torrent"},
		{"de", 0, 0, "does not tell of the torrent"},
		{"le", 0, 0, "does not tell of the torrent"},
		{"d14:failure reason7:go awaye", 0, 0, "the tracker refused: go away"},
		{"<html>", 0, 0, "not that of a tracker"},
		{"", 0, 0, "not that of a tracker"},
	} {
		seeds, peers, err := parseScrape([]byte(c.body), hash)
		if c.err == "" && (err != nil || seeds != c.seeds || peers != c.peers) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %d seeds, %d others, %v", c.body, seeds, peers, err)
		}
	}
}

func TestBEP48AScrapeOverHTTP(t *testing.T) {
	hash := everyByte(0xf0)
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secretpasskey1/scrape" || r.URL.Query().Get("auth") != "secretpasskey2" {
			t.Errorf("it asks for %s", r.URL)
		}
		if h := r.URL.Query().Get("info_hash"); h == string(hash[:]) {
			fmt.Fprintf(w, "d5:filesd20:%sd8:completei3e10:incompletei4eeee", h)
		} else {
			fmt.Fprint(w, "d14:failure reason18:secretpasskey1: noe")
		}
	})
	c := newTestClient(t)
	if seeds, peers, err := c.Scrape(t.Context(), u, hash); err != nil || seeds != 3 || peers != 4 {
		t.Errorf("%d seeds, %d others, %v", seeds, peers, err)
	}
	if seeds, peers, err := c.Scrape(t.Context(), u, [20]byte{}); seeds != -1 || peers != -1 || err == nil || err.Error() != "the tracker refused: [hidden]: no" {
		t.Errorf("%d seeds, %d others, %v", seeds, peers, err)
	}
	if _, _, err := c.Scrape(t.Context(), "ftp://t.example", hash); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

func TestASessionScrapesForWhatItIsNotTold(t *testing.T) {
	const told, silent = "d8:completei1e10:incompletei2e8:intervali60ee", "d8:intervali60ee"
	synctest.Test(t, func(t *testing.T) {
		s, f := startSession(SessionConfig{
			Tiers:    [][]string{{"http://told.example/announce"}},
			Extra:    []string{"http://scraped.example/announce", "http://mute.example/announce", "http://none.example/a"},
			InfoHash: [20]byte([]byte("abcdefghijklmnopqrst")),
		}, func(host string, q url.Values) (string, error) {
			switch {
			case q.Has("port") && host == "told.example":
				return told, nil
			case q.Has("port"):
				return silent, nil
			case host == "scraped.example":
				return "d5:filesd20:abcdefghijklmnopqrstd8:completei3e10:incompletei4eeee", nil
			default:
				return "", errors.New("connection refused")
			}
		})
		time.Sleep(30 * time.Second)
		expect(t, f.take(), "0s told.example started left=7",
			"0s scraped.example started left=7", "0s scraped.example  left=",
			"0s mute.example started left=7", "0s mute.example  left=",
			"0s none.example started left=7")
		for i, want := range [][2]int{{1, 2}, {3, 4}, {-1, -1}, {-1, -1}} {
			if st := s.Status()[i]; st.Seeds != want[0] || st.Peers != want[1] || st.LastError != "" {
				t.Errorf("status %+v, want %v", st, want)
			}
		}
		time.Sleep(time.Minute)
		expect(t, f.take(), "1m0s told.example  left=7", "1m0s scraped.example  left=7", "1m0s scraped.example  left=",
			"1m0s mute.example  left=7", "1m0s none.example  left=7")
		s.Stop(t.Context())
	})
}

func FuzzScrape(f *testing.F) {
	hash := [20]byte([]byte("abcdefghijklmnopqrst"))
	for _, s := range []string{
		"d5:filesd20:abcdefghijklmnopqrstd8:completei3e10:downloadedi9e10:incompletei4eeee",
		"d14:failure reason7:go awaye", "d5:filesd20:abcdefghijklmnopqrsti0eee", "de",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		seeds, peers, err := parseScrape(body, hash)
		var refused *FailureError
		if err != nil && !errors.Is(err, errNotReply) && !errors.As(err, &refused) || seeds < -1 || peers < -1 {
			t.Errorf("%d seeds, %d others, %v", seeds, peers, err)
		}
	})
}
