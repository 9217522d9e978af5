package tracker

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// everyByte returns a value of 20 bytes that begins with b and goes on upwards.
func everyByte(b byte) (out [20]byte) {
	for i := range out {
		out[i] = b + byte(i)
	}
	return out
}

func mustAnnounceURL(t *testing.T, raw string, a Announce) *url.URL {
	t.Helper()
	u, err := parseURL(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return announceURL(u, a)
}

func TestBEP3EveryParameterIsSent(t *testing.T) {
	u := mustAnnounceURL(t, "http://tracker.example:8080/announce", Announce{
		InfoHash: everyByte(0), PeerID: [20]byte([]byte("-TO0100-abcdefghijkl")), Port: 6881,
		Stats: Stats{Uploaded: 1 << 40, Downloaded: 2, Left: 3},
		Event: Started, NumWant: 80, Key: 0xbeef, TrackerID: "a&b=c",
	})
	hash := everyByte(0)
	want := map[string]string{
		"info_hash": string(hash[:]), "peer_id": "-TO0100-abcdefghijkl", "port": "6881",
		"uploaded": "1099511627776", "downloaded": "2", "left": "3", "compact": "1", "numwant": "80",
		"key": "0000beef", "event": "started", "trackerid": "a&b=c",
	}
	q := u.Query()
	for k, v := range want {
		if q.Get(k) != v {
			t.Errorf("%s = %q, want %q", k, q.Get(k), v)
		}
	}
	if len(q) != len(want) {
		t.Errorf("%d parameters, want %d: %s", len(q), len(want), u)
	}
	if u.Host != "tracker.example:8080" || u.Path != "/announce" {
		t.Errorf("the URL has become %s", u)
	}
}

func TestBEP3ARegularAnnounceHasNoEventAndNoTrackerID(t *testing.T) {
	u := mustAnnounceURL(t, "http://t.example/", Announce{})
	if q := u.Query(); q.Has("event") || q.Has("trackerid") {
		t.Errorf("%s", u)
	}
}

func TestEveryByteOfAHashSurvivesEscaping(t *testing.T) {
	for b := range 256 {
		hash := everyByte(byte(b))
		u := mustAnnounceURL(t, "http://t.example/a", Announce{InfoHash: hash, PeerID: hash})
		if q := u.Query(); q.Get("info_hash") != string(hash[:]) || q.Get("peer_id") != string(hash[:]) {
			t.Fatalf("from byte %d on: %s", b, u.RawQuery)
		}
		if strings.ContainsAny(u.RawQuery, "+ #") {
			t.Fatalf("a byte that is no part of a query: %s", u.RawQuery)
		}
	}
	if got := escape([]byte("aZ09-_.~ +/\x00\xff")); got != "aZ09-_.~%20%2B%2F%00%FF" {
		t.Errorf("escape = %s", got)
	}
}

func TestAQueryThatTheURLHasIsKeptAsItIs(t *testing.T) {
	for in, want := range map[string]string{
		"http://t.example/announce?passkey=A%2fb":      "passkey=A%2fb&info_hash=",
		"http://t.example/announce.php?a=1&b=%zz;c":    "a=1&b=%zz;c&info_hash=",
		"http://t.example/announce?passkey=x&":         "passkey=x&info_hash=",
		"http://t.example/0123456789abcdef/announce":   "info_hash=",
		"http://t.example/announce?passkey=x#fragment": "passkey=x&info_hash=",
		"http://t.example/announce?a b":                "a%20b&info_hash=",
	} {
		u := mustAnnounceURL(t, in, Announce{})
		if !strings.HasPrefix(u.RawQuery, want) || u.Fragment != "" {
			t.Errorf("%s: the query is %s", in, u.RawQuery)
		}
	}
}

func TestURLsThatCanNotBeUsedAreRefusedWithoutNamingTheirSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"udp://t.example/secretsecret":      "it names no port",
		"udp://t.example:0/secretsecret":    "it names no port",
		"udp://t.example:65536/secret":      "it names no port",
		"udp://:80/secretsecret":            "names no host",
		"wss://t.example/secretsecret":      "wss trackers are not supported",
		"ftp://t.example/secretsecret":      "only http, https and udp",
		"":                                  "only http, https and udp",
		"secretsecret":                      "only http, https and udp",
		"http://":                           "names no host",
		"http:///secretsecret":              "names no host",
		"http://[::1/secretsecret":          "not a valid URL",
		"http://t.example/secretsecret\x7f": "not a valid URL",
		"http://t.example/" + strings.Repeat("a", maxURL): "more than",
	} {
		_, err := parseURL(in)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40s: %v", in, err)
		}
	}
	longest := "http://t.example/" + strings.Repeat("a", maxURL-len("http://t.example/"))
	if _, err := parseURL(longest); err != nil {
		t.Errorf("a URL at the limit: %v", err)
	}
}

func TestOnlySchemeAndHostOfAURLAreShown(t *testing.T) {
	for in, want := range map[string]string{
		"https://user:pass@t.example:443/key/announce?passkey=1": "https://t.example:443",
		"udp://t.example:80":                    "udp://t.example:80",
		"passkey":                               "(not a valid URL)",
		"mailto:passkey":                        "(not a valid URL)",
		"http://[":                              "(not a valid URL)",
		"http://" + strings.Repeat("a", maxURL): "(not a valid URL)",
	} {
		if got := redacted(in); got != want {
			t.Errorf("redacted(%.40s) = %s, want %s", in, got, want)
		}
	}
}

func TestSecretsAreConcealedWhereverATextRepeatsThem(t *testing.T) {
	raw := "https://username:password@t.example/0123456789abcdef/announce?passkey=fedcba98%2076543210"
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{raw, u.EscapedPath(), u.RawQuery, "0123456789abcdef", "fedcba98 76543210", "username", "password"} {
		got := conceal("the tracker says: "+secret+" is banned", raw)
		for _, s := range []string{"0123456789abcdef", "fedcba98", "username", "password"} {
			if strings.Contains(got, s) {
				t.Errorf("%q shows %q", got, s)
			}
		}
	}
	if got := conceal("announce again later", raw); got != "announce again later" {
		t.Errorf("an innocent text became %q", got)
	}
}
