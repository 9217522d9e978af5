package dashboard

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestSomebodyWithoutATokenIsAskedForOne(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	for _, path := range []string{"/", "/add", "/downloads/ml/imagenet", "/stream?namespace=ml", "/claims"} {
		r := b.get(path)
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login?next="+url.QueryEscape(path) {
			t.Errorf("GET %s: %s to %q", path, r.Status, r.Header.Get("Location"))
		}
	}
	if r := b.get("/stream", "Accept", "text/event-stream"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stream: %s; a redirect would be followed into a page", r.Status)
	}
	if r := b.post("/downloads/ml/imagenet/delete", url.Values{"data": {"erase"}}); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("deleting: %s", r.Status)
	}
}

func TestATokenIsKeptWhereNoScriptAndNoOtherSiteGetsIt(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	r := b.signIn("viewer")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/" {
		t.Fatalf("signing in: %s to %q", r.Status, r.Header.Get("Location"))
	}
	c := r.Cookies()[0]
	if c.Value != "viewer" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || c.Path != "/" ||
		!strings.HasPrefix(c.Name, "__Host-") || c.MaxAge != 0 {
		t.Errorf("the cookie is %v", c)
	}
	if r := b.get("/"); r.StatusCode != http.StatusOK || !strings.Contains(r.body, "viewer") {
		t.Errorf("the list: %s", r.Status)
	}
	if r := b.post("/logout", nil); r.Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out leaves the cookie")
	}
	if r := b.get("/"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after signing out: %s", r.Status)
	}
}

func TestATokenThatTheAPIServerDoesNotTakeIsNotKept(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	for _, token := range []string{"expired", "", "two words", "semi;colon", strings.Repeat("x", maxToken+1)} {
		r := b.send("/login", url.Values{"token": {token}}, "Sec-Fetch-Site", "same-origin")
		if r.StatusCode < 400 || r.StatusCode >= 500 || len(r.Cookies()) > 0 || !strings.Contains(r.body, `role="alert"`) {
			t.Errorf("token %.20q: %s, cookies %v", token, r.Status, r.Cookies())
		}
	}
}

func TestTokensHaveALimit(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: true, maxToken: true, maxToken + 1: false} {
		if got := sound(strings.Repeat("x", n)); got != want {
			t.Errorf("a token of %d characters: %v", n, got)
		}
	}
}

func TestAHeaderIsBelievedOnlyWhereItIsConfigured(t *testing.T) {
	api := newFakeAPI(t)
	const name = "X-Forwarded-Access-Token"
	if r := open(t, api, Options{}).get("/", name, "editor", "Authorization", "Bearer editor"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("without --auth-header it is taken: %s", r.Status)
	}
	b := open(t, api, Options{AuthHeader: name})
	for _, value := range []string{"editor", "Bearer editor"} {
		if r := b.get("/", name, value); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %s", name, value, r.Status)
		}
	}
	for what, header := range map[string][]string{
		"none": nil, "a cookie": {"Cookie", cookieName + "=editor"}, "two": {name, "viewer", name, "editor"}, "unknown": {name, "nobody"},
	} {
		r := b.get("/", header...)
		if r.StatusCode != http.StatusUnauthorized || !strings.Contains(r.body, "X-Forwarded-Access-Token") {
			t.Errorf("%s: %s", what, r.Status)
		}
	}
	if r := b.get("/login"); r.StatusCode != http.StatusNotFound {
		t.Errorf("there is a form to sign in beside the proxy: %s", r.Status)
	}
}

func TestAKeyOpensADashboardOnce(t *testing.T) {
	api := newFakeAPI(t)
	b := open(t, api, Options{Local: true})
	if r := b.get("/"); r.StatusCode != http.StatusUnauthorized || !strings.Contains(r.body, "address that was printed") {
		t.Errorf("without a key: %s", r.Status)
	}
	if r := b.get("/open?key=guessed"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a wrong key: %s", r.Status)
	}
	address := b.server.Address(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7777})
	key, found := strings.CutPrefix(address, "http://127.0.0.1:7777")
	if !found {
		t.Fatalf("the address is %s", address)
	}
	r := b.get(key)
	if r.StatusCode != http.StatusSeeOther || len(r.Cookies()) != 1 || !r.Cookies()[0].HttpOnly || r.Cookies()[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("with the key: %s, cookies %v", r.Status, r.Cookies())
	}
	if r := b.get(key); r.StatusCode != http.StatusSeeOther || len(r.Cookies()) != 0 {
		t.Errorf("the same browser again: %s", r.Status)
	}
	b.client.Jar = nil
	if r := b.get(key); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("another browser with the key: %s", r.Status)
	}
}

func TestALocalDashboardHasNoOtherName(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{Local: true})
	if r := b.get("/healthz", "Host", "rebound.example.org"); r.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("by another name: %s", r.Status)
	}
	err := ServeLocal(t.Context(), Options{Config: newFakeAPI(t).config()}, "0.0.0.0:0", func(string) { t.Error("it listens") })
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("listening for everybody: %v", err)
	}
}

func TestADashboardOnThisMachineIsServedUntilItIsStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- ServeLocal(ctx, Options{Config: newFakeAPI(t).config()}, "", func(address string) { told <- address })
	}()
	r, err := http.Get(<-told) // Its redirect leads to a page that wants the cookie, which this client does not keep.
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusUnauthorized || r.Request.URL.Path != "/" {
		t.Errorf("%s at %s", r.Status, r.Request.URL)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAfterSigningInNobodyIsSentElsewhere(t *testing.T) {
	for next, want := range map[string]string{
		"/downloads/ml/x?a=b": "/downloads/ml/x?a=b", "": "/", "https://evil.example.org/": "/", "//evil.example.org/": "/",
		"/\\evil.example.org": "/", "javascript:alert(1)": "/", "/%2fevil": "/", "\n/x": "/",
	} {
		if got := ownPath(next); got != want {
			t.Errorf("ownPath(%q) = %q, want %q", next, got, want)
		}
	}
}

func FuzzAfterSigningInNobodyIsSentElsewhere(f *testing.F) {
	for _, seed := range []string{"/", "//x", "/\\x", "/a//b", "http:x", "/?next=//x", "/.//x", "/\t/x"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://dashboard.example.org/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		to, err := base.Parse(ownPath(next))
		if err != nil || to.Host != base.Host || to.Scheme != "https" {
			t.Errorf("%q leads to %v, %v", next, to, err)
		}
	})
}
