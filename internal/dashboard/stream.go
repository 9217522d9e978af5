package dashboard

import (
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// streamList tells of the downloads of a namespace, or of all.
func (s *Server) streamList(w http.ResponseWriter, r *http.Request, p *person) {
	namespace := r.URL.Query().Get("namespace")
	s.stream(w, r, p, listName(p, namespace), func(rs *readers) feed { return newListing(rs, p, namespace) })
}

func listName(p *person, namespace string) string { return p.id + " list " + namespace }

// streamDownload tells of one download.
func (s *Server) streamDownload(w http.ResponseWriter, r *http.Request, p *person) {
	key := keyOf(r)
	s.stream(w, r, p, p.id+" look "+key.String(), func(rs *readers) feed { return &looking{readers: rs, person: p, key: key} })
}

// keyOf is the download that a request is about.
func keyOf(r *http.Request) types.NamespacedName {
	return types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
}

// stream sends the events of a feed until the browser leaves, is too slow, or
// the feed ends; browsers come back by themselves after all but the first.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, p *person, name string, start func(*readers) feed) {
	// Nothing is followed for strangers: some questions the API server is never asked.
	err := p.whoAmI(r.Context())
	if unknown(err) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write(newEvent("over", over{Text: explain(err, "sign in").Text, Login: true})) // A browser that leaves can't be told.
		return
	}
	if err != nil {
		http.Error(w, explain(err, "sign in").Text, http.StatusServiceUnavailable)
		return
	}
	reader, err := s.hub.join(p, name, start)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer reader.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // Proxies that know it hand on each event at once.
	control := http.NewResponseController(w)
	send := func(e event) bool {
		// The deadline replaces that of the whole answer, which has no end.
		if control.SetWriteDeadline(time.Now().Add(writeWait)) != nil {
			return false
		}
		_, err := w.Write(e)
		return err == nil
	}
	if control.SetReadDeadline(time.Time{}) != nil || !send(event("retry: 2000\n\n")) {
		return
	}
	for _, e := range reader.first {
		if !send(e) {
			return
		}
	}
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for control.Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case e, more := <-reader.events:
			if !more || !send(e) {
				return
			}
		case <-beat.C:
			if !send(event(": still here\n\n")) {
				return
			}
		}
	}
}
