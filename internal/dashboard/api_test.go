package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// fakeAPI answers as much of the API server's questions as a dashboard has.
// Tokens are names of users: "editor" may do everything, "viewer" look, "stranger"
// nothing, "local" look in namespace ml alone; any other is unknown.
type fakeAPI struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]*v1alpha1.TorrentDownload
	changed chan struct{} // Is closed at the next change.
	log     []event       // All that has happened, as a watch tells it.
	watches int           // That were begun.
	writes  []string      // Method, path and body of what was to change something.
}

func newFakeAPI(t *testing.T, objects ...*v1alpha1.TorrentDownload) *fakeAPI {
	t.Helper()
	f := &fakeAPI{objects: map[string]*v1alpha1.TorrentDownload{}, changed: make(chan struct{})}
	for _, o := range objects {
		f.objects[o.Namespace+"/"+o.Name] = o
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *fakeAPI) config() *rest.Config {
	return &rest.Config{Host: f.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

// object makes a TorrentDownload as the API server has it.
func object(namespace, name string, percent int32) *v1alpha1.TorrentDownload {
	td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "1", ResourceVersion: "1"}}
	td.Kind, td.APIVersion = "TorrentDownload", v1alpha1.GroupVersion.String()
	td.Spec.Volume.ClaimName = "datasets"
	td.Spec.Source.Magnet = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&tr=http%3A%2F%2Ftracker.example.org%2Fpasskey%2Fannounce"
	td.Status.Progress = &v1alpha1.Progress{Percent: percent, BytesTotal: 1000, BytesVerified: int64(percent) * 10}
	td.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "Downloading", Message: "It <b>goes</b> on."}}
	return td
}

// put changes or adds an object.
func (f *fakeAPI) put(td *v1alpha1.TorrentDownload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[td.Namespace+"/"+td.Name] = td
	f.happened("MODIFIED", td)
}

func (f *fakeAPI) drop(td *v1alpha1.TorrentDownload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.objects, td.Namespace+"/"+td.Name)
	f.happened("DELETED", td)
}

func (f *fakeAPI) happened(kind string, o any) {
	f.log = append(f.log, watched(kind, o))
	close(f.changed)
	f.changed = make(chan struct{})
}

func watched(kind string, o any) event {
	b, err := json.Marshal(map[string]any{"type": kind, "object": o})
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// counted returns how many watches were begun, and what was to be changed.
func (f *fakeAPI) counted() (watches int, writes []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watches, append([]string(nil), f.writes...)
}

// mayDo says what a user may do.
func mayDo(user, verb, namespace string) bool {
	look := verb == "get" || verb == "list" || verb == "watch"
	switch user {
	case "editor":
		return true
	case "viewer":
		return look
	case "local":
		return look && namespace == "ml"
	}
	return false
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch user {
	case "editor", "viewer", "local", "stranger":
	default:
		answer(w, &metav1.Status{Status: "Failure", Reason: metav1.StatusReasonUnauthorized, Code: 401, Message: "Unauthorized"})
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/selfsubjectreviews"):
		answer(w, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: user}}})
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		var review authorizationv1.SelfSubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = mayDo(user, a.Verb, a.Namespace)
		answer(w, &review)
	default:
		f.downloads(w, r, user)
	}
}

// downloads answers what is asked of TorrentDownloads.
func (f *fakeAPI) downloads(w http.ResponseWriter, r *http.Request, user string) {
	namespace, name := "", ""
	if parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/apis/torrent-operator.io/v1alpha1/"), "/"); parts[0] == "namespaces" {
		namespace = parts[1]
		if len(parts) > 3 {
			name = parts[3]
		}
	}
	verb := map[string]string{"GET": "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[r.Method]
	if name != "" && verb == "list" {
		verb = "get"
	}
	if !mayDo(user, verb, namespace) {
		answer(w, &metav1.Status{
			Status: "Failure", Reason: metav1.StatusReasonForbidden, Code: 403,
			Message: fmt.Sprintf("User %q cannot %s torrentdownloads", user, verb),
		})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.objects[namespace+"/"+name]
	switch {
	case verb == "list" && r.URL.Query().Get("watch") != "":
		f.watch(w, r, namespace)
	case verb == "list":
		list := &v1alpha1.TorrentDownloadList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
		for _, o := range f.objects {
			if namespace == "" || o.Namespace == namespace {
				list.Items = append(list.Items, *o)
			}
		}
		answer(w, list)
	case name != "" && o == nil:
		answer(w, &metav1.Status{Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404, Message: "not found"})
	case verb == "get":
		answer(w, o)
	default:
		var b strings.Builder
		_ = r.Write(&b)
		_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
		f.writes = append(f.writes, r.Method+" "+r.URL.Path+" "+body)
		if o == nil {
			o = object(namespace, "made", 0)
		}
		answer(w, o)
	}
}

// watch streams what is there and what happens. It is called with the lock
// held.
func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request, namespace string) {
	f.watches++
	seen := len(f.log)
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, o := range f.objects {
			if namespace == "" || o.Namespace == namespace {
				_, _ = w.Write(watched("ADDED", o))
			}
		}
		mark := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
		mark.Kind, mark.APIVersion = "TorrentDownload", v1alpha1.GroupVersion.String()
		_, _ = w.Write(watched("BOOKMARK", mark))
	}
	for {
		for ; seen < len(f.log); seen++ {
			_, _ = w.Write(f.log[seen])
		}
		_ = http.NewResponseController(w).Flush()
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		f.mu.Lock()
		if r.Context().Err() != nil {
			return
		}
	}
}

func answer(w http.ResponseWriter, o any) {
	w.Header().Set("Content-Type", "application/json")
	switch o := o.(type) {
	case *metav1.Status:
		o.Kind, o.APIVersion = "Status", "v1"
		w.WriteHeader(int(o.Code))
	case *v1alpha1.TorrentDownloadList:
		o.Kind, o.APIVersion = "TorrentDownloadList", v1alpha1.GroupVersion.String()
	case *authenticationv1.SelfSubjectReview:
		o.Kind, o.APIVersion = "SelfSubjectReview", "authentication.k8s.io/v1"
	case *authorizationv1.SelfSubjectAccessReview:
		o.Kind, o.APIVersion = "SelfSubjectAccessReview", "authorization.k8s.io/v1"
	}
	if err := json.NewEncoder(w).Encode(o); err != nil {
		panic(err)
	}
}

// browser is a client with cookies of a dashboard that is being tested. It
// follows no redirects.
type browser struct {
	*testing.T
	client *http.Client
	server *Server
	at     string
}

// open serves a dashboard for the length of a test.
func open(t *testing.T, api *fakeAPI, o Options) *browser {
	t.Helper()
	o.Config = api.config()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	// With TLS, because cookies of people are for that alone.
	web := httptest.NewTLSServer(s.Handler())
	t.Cleanup(func() {
		s.hub.close()
		web.CloseClientConnections()
		web.Close()
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := web.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{T: t, client: client, server: s, at: web.URL}
}

// signIn gives a token to the form.
func (b *browser) signIn(token string) *http.Response {
	b.Helper()
	return b.post("/login", url.Values{"token": {token}})
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body string
}

func (b *browser) get(path string, header ...string) reply {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.at+path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	return b.do(r, header...)
}

// post sends a form as one of the dashboard's own pages does.
func (b *browser) post(path string, form url.Values, header ...string) *http.Response {
	b.Helper()
	return b.send(path, form, append([]string{"Sec-Fetch-Site", "same-origin"}, header...)...).Response
}

func (b *browser) send(path string, form url.Values, header ...string) reply {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r, header...)
}

func (b *browser) do(r *http.Request, header ...string) reply {
	b.Helper()
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Add(header[i], header[i+1])
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return reply{response, string(body)}
}
