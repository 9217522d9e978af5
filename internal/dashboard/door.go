package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"
)

// A door tells who makes a request.
type door interface {
	// token returns the token with which a request is passed on, "" if that
	// of the server's own configuration is meant. ok is false for somebody who
	// has not come in yet.
	token(r *http.Request) (token string, ok bool)
	// closed answers somebody who is not in, or whose token the API server
	// does not take.
	closed(w http.ResponseWriter, r *http.Request, s *Server)
	// leaves says whether a person can sign out here.
	leaves() bool
	// register adds the pages that the door has.
	register(mux *http.ServeMux, s *Server)
}

// cookieName is the cookie of people who signed in with a token. The prefix
// has browsers take it from this very host alone, and only over HTTPS or on
// the person's own machine.
const cookieName = "__Host-torrent-token"

// cookieDoor has people sign in with a token, which their browser keeps in a
// cookie that no script can read. The cookie holds the token as it is: a key
// that encrypts it would have to be shared by all replicas, and whoever has the
// cookie can use it here in either case.
type cookieDoor struct{}

func (cookieDoor) leaves() bool { return true }

func (cookieDoor) token(r *http.Request) (string, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil || !sound(c.Value) {
		return "", false
	}
	return c.Value, true
}

// sound reports whether something can be a bearer token (RFC 6750, section
// 2.1), so that it can stand in a header and in a cookie.
func sound(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	return !strings.ContainsFunc(token, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~+/=", c))
	})
}

func (cookieDoor) closed(w http.ResponseWriter, r *http.Request, s *Server) {
	// A link of another site comes without the cookie, which stays then.
	if _, err := r.Cookie(cookieName); err == nil {
		setCookie(w, cookieName, "", true)
	}
	if r.Method == http.MethodGet && r.Header.Get("Accept") != "text/event-stream" {
		http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	s.refuse(w, r, nil, &problem{Status: http.StatusUnauthorized, Title: "Sign in first", Text: "Your token is missing or has expired. Nothing was changed."})
}

func (d cookieDoor) register(mux *http.ServeMux, s *Server) {
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		s.render(w, http.StatusOK, "login.html", loginPage{layout: layout{Title: "Sign in"}, Next: ownPath(r.URL.Query().Get("next"))})
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) { d.login(w, r, s) })
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		setCookie(w, cookieName, "", true)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
}

// loginPage is the page on which a token is asked for.
type loginPage struct {
	layout
	Next string
}

func (cookieDoor) login(w http.ResponseWriter, r *http.Request, s *Server) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(r.PostFormValue("token")), "Bearer "))
	page := loginPage{layout: layout{Title: "Sign in"}, Next: ownPath(r.PostFormValue("next"))}
	if !sound(token) {
		page.Wrong = &problem{Title: "That is no token", Text: "A token is one word of letters, digits and -._~+/=. One of more than 3,800 characters does not fit into a cookie: it needs an authenticating proxy in front."}
		s.render(w, http.StatusUnprocessableEntity, "login.html", page)
		return
	}
	p, err := s.person(token)
	if err == nil {
		err = p.whoAmI(r.Context())
	}
	if err != nil {
		page.Wrong = explain(err, "sign in")
		if page.Wrong.Status == http.StatusUnauthorized {
			page.Wrong = &problem{Status: http.StatusUnauthorized, Title: "The API server does not take this token", Text: "It may have expired, or belong to another cluster."}
		}
		s.render(w, page.Wrong.Status, "login.html", page)
		return
	}
	setCookie(w, cookieName, token, true)
	http.Redirect(w, r, page.Next, http.StatusSeeOther)
}

// setCookie sets a cookie for as long as the browser runs, or removes it.
func setCookie(w http.ResponseWriter, name, value string, secure bool) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// ownPath returns a path of this dashboard, "/" for anything else.
func ownPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(next, "\\") {
		return "/"
	}
	return u.RequestURI()
}

// headerDoor is the name of the header in which a proxy passes on tokens.
type headerDoor string

func (headerDoor) leaves() bool                           { return false }
func (headerDoor) register(mux *http.ServeMux, s *Server) {}

func (d headerDoor) token(r *http.Request) (string, bool) {
	values := r.Header.Values(string(d))
	if len(values) != 1 { // Of two, one is not the proxy's.
		return "", false
	}
	token := strings.TrimSpace(strings.TrimPrefix(values[0], "Bearer "))
	return token, sound(token)
}

func (d headerDoor) closed(w http.ResponseWriter, r *http.Request, s *Server) {
	s.refuse(w, r, nil, &problem{
		Status: http.StatusUnauthorized, Title: "Nobody has signed you in",
		Text: "The proxy in front of this dashboard passed on no token that the API server takes.",
		Hint: "An administrator can look at whether it sets the header " + string(d) + " to a token for this cluster.",
	})
}

// keyDoor lets one browser in, by an address that holds a key: other users of
// the machine can reach the port, and don't know the key. It can be used once,
// because addresses stay in histories and lists of processes.
type keyDoor struct {
	key    string
	cookie string // The name of the cookie: ports of a machine share their cookies.
	pass   string // Its value.

	mu   sync.Mutex
	used bool
}

func newKeyDoor() *keyDoor {
	return &keyDoor{key: rand.Text(), cookie: "torrent-" + rand.Text()[:8], pass: rand.Text()}
}

func (*keyDoor) leaves() bool { return false }

func (d *keyDoor) token(r *http.Request) (string, bool) {
	c, err := r.Cookie(d.cookie)
	return "", err == nil && same(c.Value, d.pass)
}

func (d *keyDoor) closed(w http.ResponseWriter, r *http.Request, s *Server) {
	s.refuse(w, r, nil, &problem{
		Status: http.StatusUnauthorized, Title: "This dashboard is somebody's own",
		Text: "Open it by the address that was printed when it was started. That works once, in one browser; start it again for another one.",
	})
}

func (d *keyDoor) register(mux *http.ServeMux, s *Server) {
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, r *http.Request) {
		if _, in := d.token(r); !in {
			if !d.turn(r.URL.Query().Get("key")) {
				d.closed(w, r, s)
				return
			}
			// Not Secure: this is plain HTTP on the person's own machine.
			setCookie(w, d.cookie, d.pass, false)
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

// turn reports whether a key is the right one, the first time.
func (d *keyDoor) turn(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used || !same(key, d.key) {
		return false
	}
	d.used = true
	return true
}

// same compares secrets in a time that tells nothing about them.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// idOf names a token without telling it.
func idOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// configFor is how the API server is reached with a token, "" for the base's
// own credentials.
func configFor(base *rest.Config, token string) *rest.Config {
	c := rest.CopyConfig(base)
	if token != "" {
		c.BearerToken, c.BearerTokenFile = token, ""
	}
	return c
}

// nameOf is what to call somebody on a page.
func nameOf(u authenticationv1.UserInfo) string {
	return strings.TrimPrefix(u.Username, "system:serviceaccount:")
}
