package dashboard

import (
	"bufio"
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// everyPage are paths of one of each page, for somebody who may see them.
var everyPage = []string{"/", "/add", "/downloads/ml/imagenet", "/login", "/nowhere", "/downloads/ml/gone"}

func TestPagesLoadAndRunNothingButTheirOwn(t *testing.T) {
	b := open(t, newFakeAPI(t, object("ml", "imagenet", 42)), Options{})
	b.signIn("editor")
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>\s*[^<\s]|<style|\sstyle=|\son[a-z]+=|javascript:|https?://`)
	for _, path := range everyPage {
		r := b.get(path)
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: the policy is %q", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if found := inline.FindString(regexp.MustCompile(`(?s)<pre.*?</pre>|<li>http.*?</li>`).ReplaceAllString(r.body, "")); found != "" {
			t.Errorf("%s has %q in its text, which the policy forbids", path, found)
		}
	}
}

func TestTextOfStrangersIsNoMarkup(t *testing.T) {
	td := object("ml", "imagenet", 42)
	td.Status.Name = "<script>alert(1)</script>"
	td.Status.Conditions[0].Reason = "Waiting"
	b := open(t, newFakeAPI(t, td), Options{})
	b.signIn("viewer")
	for _, path := range []string{"/", "/downloads/ml/imagenet"} {
		r := b.get(path)
		if strings.Contains(r.body, "<b>goes") || strings.Contains(r.body, "<script>alert") || !strings.Contains(r.body, "&lt;b&gt;goes") {
			t.Errorf("%s shows the text of a message as markup", path)
		}
	}
}

func TestPasskeysOfTrackersAreNotShownBesideTheYAML(t *testing.T) {
	b := open(t, newFakeAPI(t, object("ml", "imagenet", 42)), Options{})
	b.signIn("viewer")
	body := regexp.MustCompile(`(?s)<pre.*?</pre>`).ReplaceAllString(b.get("/downloads/ml/imagenet").body, "")
	if !strings.Contains(body, "<li>http://tracker.example.org</li>") || strings.Contains(body, "passkey") {
		t.Error("the list of trackers is not what it should be")
	}
}

func TestAFormOfAnotherSiteChangesNothing(t *testing.T) {
	api := newFakeAPI(t, object("ml", "imagenet", 42))
	b := open(t, api, Options{})
	b.signIn("editor")
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.org"}, {"Origin", "null"},
	} {
		for _, path := range []string{"/downloads/ml/imagenet/delete", "/downloads/ml/imagenet/suspend", "/add", "/login", "/logout"} {
			r := b.send(path, url.Values{"data": {"erase"}, "token": {"viewer"}}, header...)
			if r.StatusCode != http.StatusForbidden || len(r.Cookies()) > 0 {
				t.Errorf("POST %s with %v: %s", path, header, r.Status)
			}
		}
	}
	if _, writes := api.counted(); len(writes) > 0 {
		t.Errorf("something was changed: %q", writes)
	}
	if r := b.get("/downloads/ml/imagenet/suspend"); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a link changes something: %s", r.Status)
	}
}

func TestActionsAreWhatTheirButtonsSay(t *testing.T) {
	const at = "/downloads/ml/imagenet"
	const resource = "/apis/torrent-operator.io/v1alpha1/namespaces/ml/torrentdownloads/imagenet "
	for _, c := range []struct {
		path string
		form url.Values
		want []string
	}{
		{"/suspend", nil, []string{"PATCH " + resource + `{"spec":{"suspend":true}}`}},
		{"/resume", nil, []string{"PATCH " + resource + `{"spec":{"suspend":null}}`}},
		{"/limits", url.Values{"down": {"100Mi"}, "up": {""}, "peers": {"7"}}, []string{
			"PATCH " + resource + `{"spec":{"limits":{"downloadBytesPerSecond":"100Mi","maxPeers":7,"uploadBytesPerSecond":null}}}`,
		}},
		{"/delete", url.Values{"data": {"keep"}}, []string{"PATCH " + resource + `{"spec":{"deletionPolicy":"Retain"}}`, "DELETE " + resource}},
		{"/delete", url.Values{"data": {"erase"}}, []string{"PATCH " + resource + `{"spec":{"deletionPolicy":"Delete"}}`, "DELETE " + resource}},
	} {
		api := newFakeAPI(t, object("ml", "imagenet", 42))
		b := open(t, api, Options{})
		b.signIn("editor")
		r := b.post(at+c.path, c.form)
		_, writes := api.counted()
		if r.StatusCode != http.StatusSeeOther || len(writes) != len(c.want) {
			t.Errorf("POST %s %v: %s, writes %q", c.path, c.form, r.Status, writes)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(writes[i], want) {
				t.Errorf("POST %s %v wrote %q, want %q", c.path, c.form, writes[i], want)
			}
		}
	}
}

func TestDeletingAsThePolicySaysTakesNoRightToChange(t *testing.T) {
	td := object("ml", "imagenet", 42)
	td.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	api := newFakeAPI(t, td)
	b := open(t, api, Options{})
	b.signIn("editor")
	b.post("/downloads/ml/imagenet/delete", url.Values{"data": {"erase"}})
	if _, writes := api.counted(); len(writes) != 1 || !strings.HasPrefix(writes[0], "DELETE ") {
		t.Errorf("it wrote %q", writes)
	}
}

func TestWhatCannotBeMeantIsToldAndNotDone(t *testing.T) {
	api := newFakeAPI(t, object("ml", "imagenet", 42))
	b := open(t, api, Options{})
	b.signIn("editor")
	for path, forms := range map[string][]url.Values{
		"/downloads/ml/imagenet/limits": {{"down": {"fast"}}, {"up": {"-1"}}, {"peers": {"0"}}, {"peers": {"3x"}}, {"peers": {"99999999999"}}},
		"/downloads/ml/imagenet/delete": {{}, {"data": {"both"}}},
		"/add":                          {{}},
	} {
		for _, form := range forms {
			r := b.send(path, form, "Sec-Fetch-Site", "same-origin")
			if r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(r.body, `role="alert"`) {
				t.Errorf("POST %s %v: %s", path, form, r.Status)
			}
		}
	}
	if _, writes := api.counted(); len(writes) > 0 {
		t.Errorf("something was changed: %q", writes)
	}
}

// upload sends the form of the page on which torrents are added.
func (b *browser) upload(fields map[string]string, file []byte) reply {
	b.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			b.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "x.torrent")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := part.Write(file); err != nil {
		b.Fatal(err)
	}
	w.Close()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.at+"/add", &body)
	if err != nil {
		b.Fatal(err)
	}
	return b.do(r, "Content-Type", w.FormDataContentType(), "Sec-Fetch-Site", "same-origin")
}

func TestAddingTellsWhatIsWrongWhereItWasFilledIn(t *testing.T) {
	const magnet = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567"
	b := open(t, newFakeAPI(t), Options{})
	b.signIn("editor")
	for _, c := range []struct {
		fields map[string]string
		file   string
		want   string
	}{
		{map[string]string{"claim": "c"}, "", "paste a magnet link"},
		{map[string]string{"claim": "c", "link": magnet}, "d4:infoe", "not both"},
		{map[string]string{"claim": "c", "link": "ftp://x"}, "", "neither a magnet link"},
		{map[string]string{"claim": "c", "link": strings.Repeat("0", 40)}, "", "where peers are"},
		{map[string]string{"link": magnet}, "", "Name the claim"},
		{map[string]string{"link": magnet, "where": "make", "size": "large"}, "", "no size"},
		{map[string]string{"claim": "c"}, "no torrent", "torrent"},
	} {
		c.fields["namespace"] = "ml"
		r := b.upload(c.fields, []byte(c.file))
		if r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(r.body, c.want) {
			t.Errorf("%v: %s, and nothing says %q", c.fields, r.Status, c.want)
		}
		if link := c.fields["link"]; link != "" && !strings.Contains(r.body, strings.ReplaceAll(link, "&", "&amp;")+"</textarea>") {
			t.Errorf("%v: what was filled in is gone", c.fields)
		}
	}
	if r := b.upload(map[string]string{"namespace": "ml", "claim": "c", "link": magnet}, nil); r.StatusCode != http.StatusSeeOther {
		t.Errorf("adding a magnet link: %s", r.Status)
	}
}

func TestUploadsHaveALimit(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	b.signIn("editor")
	for size, want := range map[int]int{maxUpload - 4096: http.StatusUnprocessableEntity, maxUpload: http.StatusRequestEntityTooLarge} {
		if r := b.upload(map[string]string{"namespace": "ml", "claim": "c"}, make([]byte, size)); r.StatusCode != want {
			t.Errorf("a file of %d bytes: %s, want %d", size, r.Status, want)
		}
	}
}

func TestWhoMayNotIsToldSoInPlainWords(t *testing.T) {
	api := newFakeAPI(t, object("ml", "imagenet", 42))
	b := open(t, api, Options{})
	b.signIn("stranger")
	if r := b.get("/"); r.StatusCode != http.StatusForbidden || !strings.Contains(r.body, "You may not list and watch the downloads of all namespaces") ||
		!strings.Contains(r.body, `name="namespace"`) {
		t.Errorf("the list: %s", r.Status)
	}
	if r := b.get("/downloads/ml/imagenet"); r.StatusCode != http.StatusForbidden || !strings.Contains(r.body, "You may not see this download") {
		t.Errorf("a download: %s", r.Status)
	}
	b = open(t, api, Options{})
	b.signIn("viewer")
	r := b.get("/downloads/ml/imagenet")
	if n := strings.Count(r.body, "<button disabled"); r.StatusCode != http.StatusOK || n < 3 || !strings.Contains(r.body, "look at this download and not change it") {
		t.Errorf("somebody who may only look: %s, %d buttons are off", r.Status, n)
	}
	bad := b.send("/downloads/ml/imagenet/suspend", nil, "Sec-Fetch-Site", "same-origin")
	if bad.StatusCode != http.StatusForbidden || !strings.Contains(bad.body, "You may not pause this download") || !strings.Contains(bad.body, "cannot patch torrentdownloads") {
		t.Errorf("pausing all the same: %s", bad.Status)
	}
	if _, writes := api.counted(); len(writes) > 0 {
		t.Errorf("something was changed: %q", writes)
	}
}

func TestWhoMayListOneNamespaceBeginsThere(t *testing.T) {
	b := open(t, newFakeAPI(t, object("ml", "imagenet", 42), object("other", "secret", 42)), Options{Namespace: "ml"})
	b.signIn("local")
	if r := b.get("/"); r.Header.Get("Location") != "/?namespace=ml" {
		t.Errorf("it begins at %q: %s", r.Header.Get("Location"), r.Status)
	}
	if r := b.get("/?namespace=ml"); !strings.Contains(r.body, "imagenet") || strings.Contains(r.body, "secret") {
		t.Errorf("the list of one namespace: %s", r.Status)
	}
}

func TestTheFirstPaintIsSmall(t *testing.T) {
	var objects []*v1alpha1.TorrentDownload
	for i := range 500 {
		objects = append(objects, object("namespace-of-a-team", fmt.Sprintf("a-rather-long-name-of-a-download-%04d", i), 42))
	}
	b := open(t, newFakeAPI(t, objects...), Options{})
	b.signIn("viewer")
	for _, path := range []string{"/", "/add", "/downloads/namespace-of-a-team/a-rather-long-name-of-a-download-0007"} {
		total := 0
		page := b.get(path)
		if page.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s", path, page.Status)
		}
		total += len(page.body)
		for name := range b.server.pages.assets.files {
			total += len(b.get(b.server.pages.assets.prefix + name).body)
		}
		if total > 100<<10 {
			t.Errorf("%s and all that any page loads have %d bytes", path, total)
		}
	}
}

func TestAssetsAreKeptByBrowsers(t *testing.T) {
	b := open(t, newFakeAPI(t), Options{})
	r := b.get(b.server.pages.assets.prefix + "list.js")
	if r.StatusCode != http.StatusOK || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("%s, %v", r.Status, r.Header)
	}
	if r := b.get(b.server.pages.assets.prefix + "../pages/list.html"); r.StatusCode == http.StatusOK {
		t.Error("what is no asset can be had")
	}
}

// listen opens a stream and returns what reads its next event of a name.
func (b *browser) listen(path string) func(name string) string {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.at+path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		b.Fatalf("GET %s: %s", path, response.Status)
	}
	lines := bufio.NewReader(response.Body)
	return func(name string) string {
		b.Helper()
		kind := ""
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				b.Fatalf("waiting for the event %s: %v", name, err)
			}
			if rest, ok := strings.CutPrefix(line, "event: "); ok {
				kind = strings.TrimSpace(rest)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok && kind == name {
				return strings.TrimSpace(data)
			}
		}
	}
}

func TestTheListStaysUpToDate(t *testing.T) {
	td := object("ml", "imagenet", 42)
	api := newFakeAPI(t, td)
	b := open(t, api, Options{})
	b.signIn("viewer")
	next := b.listen("/stream?namespace=")
	if rows := next("rows"); !strings.Contains(rows, `"n":"imagenet"`) || !strings.Contains(rows, `"p":42`) {
		t.Errorf("at first: %s", rows)
	}
	if n := next("loaded"); n != "1" {
		t.Errorf("loaded %s", n)
	}
	changed := td.DeepCopy()
	changed.Status.Progress.Percent = 43
	api.put(changed)
	if rows := next("rows"); !strings.Contains(rows, `"p":43`) {
		t.Errorf("after a change: %s", rows)
	}
	api.drop(changed)
	if gone := next("gone"); gone != `["ml/imagenet"]` {
		t.Errorf("after its end: %s", gone)
	}
}

func TestBrowsersOfOneTokenShareAWatchAndThoseOfOthersDoNot(t *testing.T) {
	api := newFakeAPI(t, object("ml", "imagenet", 42))
	b := open(t, api, Options{})
	b.signIn("viewer")
	for range 10 {
		b.listen("/stream?namespace=")("loaded")
	}
	if n, _ := api.counted(); n != 1 {
		t.Errorf("ten pages of one person took %d watches", n)
	}
	b.signIn("editor")
	b.listen("/stream?namespace=")("loaded")
	if n, _ := api.counted(); n != 2 {
		t.Errorf("with a second person there were %d watches", n)
	}
}

func TestAStreamOfSomebodyWhoMayNotEndsWithTheReason(t *testing.T) {
	b := open(t, newFakeAPI(t, object("ml", "imagenet", 42)), Options{})
	b.signIn("stranger")
	for _, path := range []string{"/stream?namespace=", "/downloads/ml/imagenet/stream"} {
		if over := b.listen(path)("over"); !strings.Contains(over, "torrentdownloads") {
			t.Errorf("%s: %s", path, over)
		}
	}
}

func TestADownloadStaysUpToDate(t *testing.T) {
	td := object("ml", "imagenet", 42)
	api := newFakeAPI(t, td)
	b := open(t, api, Options{})
	b.signIn("editor")
	next := b.listen("/downloads/ml/imagenet/stream")
	if look := next("look"); !strings.Contains(look, `"p":42`) || !strings.Contains(look, "kind: TorrentDownload") {
		t.Errorf("at first: %s", look)
	}
	changed := td.DeepCopy()
	changed.Status.Progress.Percent = 43
	api.put(changed)
	if look := next("look"); !strings.Contains(look, `"p":43`) {
		t.Errorf("after a change: %s", look)
	}
	api.drop(changed)
	if over := next("over"); !strings.Contains(over, "deleted") {
		t.Errorf("after its end: %s", over)
	}
}
