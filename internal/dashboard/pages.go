package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

//go:embed assets pages
var content embed.FS

// pages are the templates and what they load.
type pages struct {
	templates map[string]*template.Template
	assets    *assets
}

// assets are files that never change at their address: it holds a hash of all.
type assets struct {
	prefix string
	files  map[string][]byte
}

func loadPages() (*pages, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, err
	}
	p := &pages{templates: map[string]*template.Template{}, assets: a}
	functions := template.FuncMap{"asset": func(name string) string { return a.prefix + name }}
	for _, name := range []string{"list.html", "download.html", "add.html", "login.html", "problem.html"} {
		t, err := template.New(name).Funcs(functions).ParseFS(content, "pages/layout.html", "pages/"+name)
		if err != nil {
			return nil, err
		}
		p.templates[name] = t
	}
	return p, nil
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string][]byte{}}
	sum := sha256.New()
	err := fs.WalkDir(content, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := content.ReadFile(name)
		a.files[path.Base(name)] = b
		sum.Write(b)
		return err
	})
	a.prefix = "/assets/" + hex.EncodeToString(sum.Sum(nil))[:16] + "/"
	return a, err
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, a.prefix)
	b, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", typeOf(name))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(b) // A browser that leaves can't be told anything.
}

// typeOf is the media type of an asset, whatever the machine has in its tables.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// layout is what all pages have.
type layout struct {
	Title    string
	Script   string // Name of the asset that brings the page to life.
	User     string
	CanLeave bool
	Wrong    *problem
}

func (s *Server) layout(title, script string, p *person) layout {
	l := layout{Title: title, Script: script}
	if p != nil {
		l.User, l.CanLeave = p.name, s.door.leaves()
	}
	return l
}

// render answers with a page.
func (s *Server) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.templates[name].ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "the page can't be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // As above.
}

// problemPage is a page that tells of nothing but a problem.
type problemPage struct {
	layout
	AskNamespace bool
}

// refuse answers with a problem.
func (s *Server) refuse(w http.ResponseWriter, _ *http.Request, p *person, wrong *problem) {
	page := problemPage{layout: s.layout(wrong.Title, "", p)}
	page.Wrong = wrong
	s.render(w, wrong.Status, "problem.html", page)
}

// fail answers with what an error means; somebody whom the API server does not
// know goes back to the door.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, p *person, err error, wanted string) {
	if unknown(err) {
		s.door.closed(w, r, s)
		return
	}
	s.refuse(w, r, p, explain(err, wanted))
}

// listPage is the list of downloads.
type listPage struct {
	layout
	Namespace, Stream, AddPath string
	Down, Up                   string
	Chips                      []chip
	Rows                       []row
	Blank                      row
	RowCount                   int
	Empty                      bool
}

// chip is a filter by state.
type chip struct {
	Tone  tone
	Word  string
	Count int
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, p *person) {
	if err := p.whoAmI(r.Context()); err != nil {
		s.fail(w, r, p, err, "sign in")
		return
	}
	namespace := strings.TrimSpace(r.URL.Query().Get("namespace"))
	reader, err := s.hub.join(p, listName(p, namespace), func(rs *readers) feed { return newListing(rs, p, namespace) })
	if err != nil {
		s.refuse(w, r, p, &problem{Status: http.StatusServiceUnavailable, Title: "This dashboard is crowded", Text: sentence(err.Error())})
		return
	}
	defer reader.leave()
	l := reader.feed.(*listing)
	sum := l.summarize(r.Context())
	if sum.failed != nil {
		s.listFailed(w, r, p, namespace, sum.failed)
		return
	}
	page := listPage{
		layout: s.layout("Downloads", "list.js", p), Namespace: namespace,
		Stream: "/stream?" + url.Values{"namespace": {namespace}}.Encode(), AddPath: "/add?" + url.Values{"namespace": {namespace}}.Encode(),
		Down: termui.Rate(sum.down), Up: termui.Rate(sum.up), Rows: sum.rows,
		RowCount: sum.count + 1, Empty: sum.loaded && sum.count == 0,
		Blank: row{Percent: -1, ETA: -1},
		Chips: []chip{
			{"", "All", sum.count},
			{toneActive, "Active", sum.tones[toneActive]},
			{toneWaiting, "Waiting", sum.tones[toneWaiting]},
			{toneTrouble, "Stuck", sum.tones[toneTrouble]},
			{tonePaused, "Paused", sum.tones[tonePaused]},
			{toneComplete, "Complete", sum.tones[toneComplete]},
		},
	}
	s.render(w, http.StatusOK, "list.html", page)
}

// listFailed answers somebody who may not list. Many may in one namespace, and
// not in all.
func (s *Server) listFailed(w http.ResponseWriter, r *http.Request, p *person, namespace string, wrong *problem) {
	switch {
	case wrong.Status == http.StatusUnauthorized:
		s.door.closed(w, r, s)
		return
	case wrong.Status == http.StatusForbidden && namespace == "" && s.options.Namespace != "":
		http.Redirect(w, r, "/?"+url.Values{"namespace": {s.options.Namespace}}.Encode(), http.StatusSeeOther)
		return
	}
	page := problemPage{layout: s.layout(wrong.Title, "", p), AskNamespace: wrong.Status == http.StatusForbidden}
	page.Wrong = wrong
	s.render(w, wrong.Status, "problem.html", page)
}

// downloadPage is the page of one download.
type downloadPage struct {
	layout
	Row                        row
	Stream, Folder, YAML       string
	Cells                      string
	Total                      int
	Suspended, Deletes         bool
	OwnClaim                   bool
	MayChange, MayDelete       bool
	WhyNotChange, WhyNotDelete string
	Limits                     limitsForm
	Trackers                   []string
}

// limitsForm are limits as they stand in a form.
type limitsForm struct{ Down, Up, Peers string }

// ReadOnly says that the person may look and do nothing.
func (p *downloadPage) ReadOnly() bool { return !p.MayChange && !p.MayDelete }

// ShowWhy says that there is more to read about the state than its name.
func (p *downloadPage) ShowWhy() bool {
	return p.Row.Message != "" && p.Row.Tone != toneComplete && p.Row.Tone != toneActive
}

// DoneText says how much of how much is there.
func (p *downloadPage) DoneText() string {
	if p.Row.Total == 0 {
		return "size not known yet"
	}
	return termui.Bytes(p.Row.Done) + " of " + termui.Bytes(p.Row.Total)
}

func (s *Server) download(w http.ResponseWriter, r *http.Request, p *person) {
	s.showDownload(w, r, p, nil)
}

// showDownload answers with the page of a download, and what went wrong on it.
func (s *Server) showDownload(w http.ResponseWriter, r *http.Request, p *person, wrong *problem) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if err := p.whoAmI(ctx); err != nil {
		s.fail(w, r, p, err, "sign in")
		return
	}
	key := keyOf(r)
	td, err := p.Download(ctx, key)
	if err != nil {
		s.fail(w, r, p, err, "see this download")
		return
	}
	may, err := p.may(ctx, key.Namespace, key.Name, "patch", "delete")
	if err != nil {
		s.fail(w, r, p, err, "see this download")
		return
	}
	first := newLook(td, nil, "", nil)
	page := &downloadPage{
		layout: s.layout(td.Name, "download.js", p), Row: first.View, YAML: first.YAML,
		Cells: first.Pieces.Cells, Total: first.Pieces.Total, Suspended: first.Suspended, Folder: td.Spec.Volume.Path,
		Deletes: td.Spec.DeletionPolicy == v1alpha1.DeletionDelete, OwnClaim: td.Spec.Volume.ClaimTemplate != nil,
		MayChange: may["patch"], MayDelete: may["delete"], Trackers: namesOf(td),
		WhyNotChange: "You may not change TorrentDownloads in namespace " + key.Namespace,
		WhyNotDelete: "You may not delete TorrentDownloads in namespace " + key.Namespace,
	}
	page.Stream = page.Row.Path() + "/stream"
	page.Wrong = wrong
	if q := td.Spec.Limits.DownloadBytesPerSecond; q != nil {
		page.Limits.Down = q.String()
	}
	if q := td.Spec.Limits.UploadBytesPerSecond; q != nil {
		page.Limits.Up = q.String()
	}
	if n := td.Spec.Limits.MaxPeers; n > 0 {
		page.Limits.Peers = itoa(int64(n))
	}
	status := http.StatusOK
	if wrong != nil {
		status = wrong.Status
	}
	s.render(w, status, "download.html", page)
}

// namesOf are the trackers, web seeds and peers that an object names, without
// the paths and queries of URLs, which may hold a passkey that others who look
// over a shoulder need not see.
func namesOf(td *v1alpha1.TorrentDownload) []string {
	d := td.Spec.Discovery
	urls := slices.Concat(d.Trackers, d.WebSeeds)
	if m, err := metainfo.ParseMagnet(td.Spec.Source.Magnet); err == nil {
		urls = append(urls, m.Trackers...)
	}
	var out []string
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			raw = u.Scheme + "://" + u.Host
		}
		if !slices.Contains(out, raw) {
			out = append(out, raw)
		}
	}
	return append(out, d.Peers...)
}

// claimNames are the claims of a namespace, none if the person may not list
// them: their names can be typed all the same.
func (p *person) claimNames(ctx context.Context, namespace string) []string {
	out := []string{}
	if namespace == "" {
		return out
	}
	var list corev1.PersistentVolumeClaimList
	if err := p.List(ctx, &list, crclient.InNamespace(namespace), crclient.Limit(maxFiles)); err != nil {
		return out
	}
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
