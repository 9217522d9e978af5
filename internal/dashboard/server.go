// Package dashboard is the web page on which people see and steer their
// downloads. It has no rights of its own and keeps no state: each request is
// passed on to the API server with the rights of whoever made it, which are
// those of a kubeconfig's user where it runs on a person's own machine, and
// those of a bearer token where it runs in a cluster. Pages are rendered here
// and stay up to date by a stream of events; internal/client is what it does
// its work with. The command and the kubectl plugin run it.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// Options say for whom a dashboard is.
type Options struct {
	// Config says how the API server is reached. With Local it is also who
	// everybody is; otherwise nothing of it but the address, how the server is
	// verified and the proxy is used.
	Config *rest.Config
	// Local makes it the dashboard of one person on their own machine: only
	// the browser that opens [Server.Address] gets in.
	Local bool
	// AuthHeader is the name of the header in which an authenticating proxy in
	// front passes on each person's token, bare or behind "Bearer ". With it
	// nobody signs in here. Without it no header is believed.
	AuthHeader string
	// Namespace is what a list shows at first if not all of the cluster may be
	// listed; "" has the person asked.
	Namespace string
}

// Server is a dashboard.
type Server struct {
	options Options
	base    *rest.Config // Without anybody's credentials, unless Local.
	door    door
	pages   *pages
	hub     *hub
}

// New makes a dashboard. It asks the API server nothing yet.
func New(o Options) (*Server, error) {
	if o.Local && o.AuthHeader != "" {
		return nil, errors.New("a header can't say who somebody is where a kubeconfig does")
	}
	p, err := loadPages()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, pages: p, hub: newHub(), base: rest.CopyConfig(o.Config)}
	switch {
	case o.Local:
		s.door = newKeyDoor()
	case o.AuthHeader != "":
		s.base, s.door = rest.AnonymousClientConfig(o.Config), headerDoor(o.AuthHeader)
	default:
		s.base, s.door = rest.AnonymousClientConfig(o.Config), cookieDoor{}
	}
	s.base.QPS = -1 // The API server is fair to all its users by itself.
	s.base.UserAgent = "torrent-operator-dashboard"
	return s, nil
}

// Serve serves connections of a listener until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: answerWait, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader,
		// A stream ends with the server, so nobody waits for it at the end.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("the dashboard can't serve at %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		server.Close()
	}
	s.hub.close()
	<-done
	return nil
}

// Address returns the address at which to open a dashboard that listens at a
// listener's address. That of a Local one holds a key, and lets one browser in.
func (s *Server) Address(at net.Addr) string {
	address := "http://" + at.String() + "/"
	if d, ok := s.door.(*keyDoor); ok {
		address += "open?key=" + d.key
	}
	return address
}

// Handler returns what answers requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET "+s.pages.assets.prefix, s.pages.assets)
	s.door.register(mux, s)
	mux.HandleFunc("GET /{$}", s.as(s.list))
	mux.HandleFunc("GET /stream", s.as(s.streamList))
	mux.HandleFunc("GET /claims", s.as(s.claims))
	mux.HandleFunc("GET /add", s.as(s.addPage))
	mux.HandleFunc("POST /add", s.as(s.add))
	const one = "/downloads/{namespace}/{name}"
	mux.HandleFunc("GET "+one, s.as(s.download))
	mux.HandleFunc("GET "+one+"/stream", s.as(s.streamDownload))
	mux.HandleFunc("POST "+one+"/suspend", s.as(s.suspend))
	mux.HandleFunc("POST "+one+"/resume", s.as(s.resume))
	mux.HandleFunc("POST "+one+"/limits", s.as(s.limits))
	mux.HandleFunc("POST "+one+"/delete", s.as(s.remove))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, nil, &problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "Nothing is at this address."})
	})
	return s.guarded(mux)
}

// policy is what pages may load and do: what comes from here, and no text that
// becomes code.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guarded lets only requests of its own pages change anything, and has
// browsers hold all answers to the policy.
func (s *Server) guarded(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, nil, &problem{
			Status: http.StatusForbidden, Title: "That came from another site",
			Text: "Only the pages of this dashboard may change anything here. Nothing was changed.",
		})
	}))
	next = cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		// Another name for this machine is somebody else's page (DNS rebinding).
		if s.options.Local && !local(r.Host) {
			http.Error(w, "This dashboard is at 127.0.0.1 and has no other name.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local reports whether a Host header names this machine.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
