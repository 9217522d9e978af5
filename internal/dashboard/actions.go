package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
)

// act does something to a download by a form, and goes back to where that is
// to be seen. What goes wrong is told on the download's page.
func (s *Server) act(w http.ResponseWriter, r *http.Request, p *person, wanted, then string, do func(ctx context.Context, key types.NamespacedName) error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	err := do(ctx, keyOf(r))
	var wrong *problem
	switch {
	case err == nil:
		http.Redirect(w, r, then, http.StatusSeeOther)
		return
	case unknown(err):
		s.door.closed(w, r, s)
		return
	case !errors.As(err, &wrong):
		wrong = explain(err, wanted)
	}
	s.showDownload(w, r, p, wrong)
}

// Error makes a problem one of the errors that an action may return.
func (p *problem) Error() string { return p.Text }

func pathOf(r *http.Request) string {
	return row{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}.Path()
}

func (s *Server) suspend(w http.ResponseWriter, r *http.Request, p *person) {
	s.act(w, r, p, "pause this download", pathOf(r), p.Suspend)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request, p *person) {
	s.act(w, r, p, "resume this download", pathOf(r), p.Resume)
}

func (s *Server) limits(w http.ResponseWriter, r *http.Request, p *person) {
	s.act(w, r, p, "change the limits of this download", pathOf(r), func(ctx context.Context, key types.NamespacedName) error {
		l, wrong := readLimits(r)
		if wrong != nil {
			return wrong
		}
		return p.SetLimits(ctx, key, l)
	})
}

// readLimits reads the form of limits, in which nothing means no limit.
func readLimits(r *http.Request) (client.Limits, *problem) {
	var l client.Limits
	for name, at := range map[string]**resource.Quantity{"down": &l.DownloadBytesPerSecond, "up": &l.UploadBytesPerSecond} {
		text := strings.TrimSpace(r.PostFormValue(name))
		q := resource.Quantity{}
		if text != "" {
			var err error
			if q, err = resource.ParseQuantity(text); err != nil || q.Sign() <= 0 {
				return l, refused("%q is no number of bytes, such as 100Mi or 500k", text)
			}
		}
		*at = &q
	}
	l.MaxPeers = new(int32)
	if text := strings.TrimSpace(r.PostFormValue("peers")); text != "" {
		if _, err := fmt.Sscanf(text+"\n", "%d\n", l.MaxPeers); err != nil || *l.MaxPeers <= 0 {
			return l, refused("%q is no number of peers above 0", text)
		}
	}
	return l, nil
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, p *person) {
	s.act(w, r, p, "delete this download", "/", func(ctx context.Context, key types.NamespacedName) error {
		policy, ok := map[string]v1alpha1.DeletionPolicy{"keep": v1alpha1.DeletionRetain, "erase": v1alpha1.DeletionDelete}[r.PostFormValue("data")]
		if !ok {
			return refused("say what becomes of the data")
		}
		td, err := p.Download(ctx, key)
		if err != nil {
			return err
		}
		if td.Spec.DeletionPolicy == policy {
			return p.Remove(ctx, key, nil) // That takes no right to change anything.
		}
		return p.Remove(ctx, key, &policy)
	})
}

// addPage is the form by which torrents are added.
type addPage struct {
	layout
	Form   addForm
	Claims []string
}

// addForm is what was filled in.
type addForm struct{ Link, Namespace, Name, Where, Claim, Path, Size, Class string }

func (s *Server) addPage(w http.ResponseWriter, r *http.Request, p *person) {
	form := addForm{Namespace: r.URL.Query().Get("namespace"), Link: r.URL.Query().Get("link")}
	if form.Namespace == "" {
		form.Namespace = s.options.Namespace
	}
	if form.Namespace == "" {
		form.Namespace = "default"
	}
	s.showAdd(w, r, p, form, nil)
}

func (s *Server) showAdd(w http.ResponseWriter, r *http.Request, p *person, form addForm, wrong *problem) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if err := p.whoAmI(ctx); err != nil {
		s.fail(w, r, p, err, "sign in")
		return
	}
	page := addPage{layout: s.layout("Add a torrent", "add.js", p), Form: form, Claims: p.claimNames(ctx, form.Namespace)}
	page.Wrong = wrong
	status := http.StatusOK
	if wrong != nil {
		status = wrong.Status
	} else if may, err := p.may(ctx, form.Namespace, "", "create"); err == nil && !may["create"] {
		page.Wrong = &problem{Title: "You may not add downloads to namespace " + form.Namespace, Text: "Choose another namespace, or ask whoever administers the cluster for the ClusterRole torrent-operator-editor in it."}
	}
	s.render(w, status, "add.html", page)
}

func (s *Server) add(w http.ResponseWriter, r *http.Request, p *person) {
	if err := p.whoAmI(r.Context()); err != nil { // What strangers send is not kept in memory.
		s.fail(w, r, p, err, "sign in")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	err := r.ParseMultipartForm(maxUpload)
	form := addForm{
		Link: strings.TrimSpace(r.PostFormValue("link")), Namespace: strings.TrimSpace(r.PostFormValue("namespace")),
		Name: strings.TrimSpace(r.PostFormValue("name")), Where: r.PostFormValue("where"),
		Claim: strings.TrimSpace(r.PostFormValue("claim")), Path: strings.TrimSpace(r.PostFormValue("path")),
		Size: strings.TrimSpace(r.PostFormValue("size")), Class: strings.TrimSpace(r.PostFormValue("class")),
	}
	if err != nil {
		wrong := refused("the form can't be read: %v", err)
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			wrong = refused("the file has more than 1 MiB, which Kubernetes can't keep in an object; paste a magnet link or the URL of the .torrent file instead")
			wrong.Status = http.StatusRequestEntityTooLarge
		}
		s.showAdd(w, r, p, form, wrong)
		return
	}
	addition, wrong := readAddition(r, form)
	if wrong != nil {
		s.showAdd(w, r, p, form, wrong)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	td, err := p.Add(ctx, addition)
	switch {
	case err == nil:
		http.Redirect(w, r, row{Namespace: td.Namespace, Name: td.Name}.Path(), http.StatusSeeOther)
	case unknown(err):
		s.door.closed(w, r, s)
	default:
		wrong := explain(err, "add a download to namespace "+form.Namespace)
		if wrong.Status == http.StatusBadGateway {
			wrong.Status = http.StatusUnprocessableEntity // The torrent, mostly.
		}
		s.showAdd(w, r, p, form, wrong)
	}
}

// readAddition reads what is to be added.
func readAddition(r *http.Request, form addForm) (*client.Addition, *problem) {
	a := &client.Addition{Namespace: form.Namespace, Name: form.Name}
	switch file, _, err := r.FormFile("file"); {
	case err == nil:
		defer file.Close()
		b, err := io.ReadAll(file)
		if err != nil {
			return nil, refused("the file can't be read: %v", err)
		}
		if len(b) > 0 {
			a.Metainfo = b
		}
	case !errors.Is(err, http.ErrMissingFile):
		return nil, refused("the file can't be read: %v", err)
	}
	switch link := form.Link; {
	case a.Metainfo != nil && link != "":
		return nil, refused("give a .torrent file or a link, not both")
	case a.Metainfo != nil:
	case strings.HasPrefix(strings.ToLower(link), "magnet:"):
		a.Magnet = link
	case strings.HasPrefix(link, "http://"), strings.HasPrefix(link, "https://"):
		a.URL = link
	case len(link) == 40:
		return nil, refused("an info hash alone says nothing about where peers are; paste a magnet link that names a tracker")
	case link == "":
		return nil, refused("choose a .torrent file, or paste a magnet link or a URL")
	default:
		return nil, refused("%q is neither a magnet link, which begins with magnet:?, nor a URL", clip(link, 60))
	}
	if form.Where == "make" {
		a.StorageClass = form.Class
		if form.Size != "" {
			q, err := resource.ParseQuantity(form.Size)
			if err != nil {
				return nil, refused("%q is no size, such as 500Gi", form.Size)
			}
			a.Size = &q
		}
		return a, nil
	}
	if form.Claim == "" {
		return nil, refused("name the claim into which the data goes, or have one made")
	}
	a.Claim, a.Path = form.Claim, form.Path
	return a, nil
}

// claims answers with the names of the claims of a namespace.
func (s *Server) claims(w http.ResponseWriter, r *http.Request, p *person) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.claimNames(ctx, r.URL.Query().Get("namespace"))) // As everywhere, a browser that leaves can't be told.
}
