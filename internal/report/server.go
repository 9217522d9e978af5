package report

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Caller is the Pod that pushes.
type Caller struct {
	Namespace, Pod, UID string
}

// Authenticator knows Pods by their tokens.
type Authenticator interface {
	// Authenticate returns the Pod whose token for [Audience] this is. An error
	// that wraps [ErrToken] says that it is nobody's; any other, that this can't
	// be told now. Several are asked at once, each until its ctx ends.
	Authenticate(ctx context.Context, token string) (Caller, error)
	// Known is Authenticate without asking anybody; false if that is needed.
	Known(token string) (Caller, bool)
}

// Taker takes pushes.
type Taker interface {
	// Leads says whether this replica does: if not, nothing is asked of it.
	Leads() bool
	// Take takes a push of a caller who is who it says; whether it is the
	// download's worker is for Take to judge. The error wraps [ErrNotLeading],
	// [ErrUnknown] or [ErrForbidden] if that is why. Several are taken at once,
	// never two of one caller.
	Take(ctx context.Context, from Caller, p Push) (Reply, error)
}

// Server is the operator's end.
type Server struct {
	Authenticator Authenticator
	Taker         Taker
	Logger        *slog.Logger

	once    sync.Once
	reviews chan struct{}
	taking  *places
	guesses strangers

	mu   sync.Mutex
	busy map[Caller]bool
}

// Serve takes pushes from l until ctx ends, and gives those under way a
// moment then. Certificates are asked for with each connection.
func (s *Server) Serve(ctx context.Context, l net.Listener, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	var plain http.Protocols
	plain.SetHTTP1(true)
	server := &http.Server{
		Handler: s, Protocols: &plain,
		TLSConfig:         &tls.Config{GetCertificate: certificate, MinVersion: tls.VersionTLS13},
		ReadHeaderTimeout: headerTimeout, ReadTimeout: pushTimeout, WriteTimeout: replyTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaders,
		ErrorLog:       slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug), // What strangers do wrong.
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(netutil.LimitListener(newListener(l), maxConnections), "", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), slotTimeout)
	defer cancel()
	if server.Shutdown(soon) != nil {
		server.Close()
	}
	<-ended
	return nil
}

// ServeHTTP implements [http.Handler]. It tells strangers nothing but a code.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(func() {
		s.reviews, s.taking = make(chan struct{}, maxReviews), newPlaces(maxTaking, maxFromNamespace)
		s.busy = map[Caller]bool{}
	})
	b, code := s.answer(w, r)
	if code != http.StatusOK {
		http.Error(w, http.StatusText(code), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b) //nolint:errcheck // Who asked has gone, and asks again.
}

// answer returns the reply to a request, or the code of an error.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) ([]byte, int) {
	switch {
	case r.URL.Path != Path:
		return nil, http.StatusNotFound
	case r.Method != http.MethodPost:
		return nil, http.StatusMethodNotAllowed
	case !s.Taker.Leads():
		return nil, http.StatusServiceUnavailable
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > maxToken {
		return nil, http.StatusUnauthorized
	}
	from, code := s.authenticate(r.Context(), addressOf(r.RemoteAddr), token)
	if code != http.StatusOK {
		return nil, code
	}
	// Nobody has more than one push read, however slowly they send.
	if !s.occupy(from) {
		return nil, http.StatusTooManyRequests
	}
	defer s.leave(from)
	leave := s.taking.enter(r.Context(), from.Namespace)
	if leave == nil {
		return nil, http.StatusTooManyRequests
	}
	defer leave()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPush))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, http.StatusRequestEntityTooLarge
	} else if err != nil {
		return nil, http.StatusBadRequest
	}
	return s.take(r.Context(), from, body)
}

func (s *Server) authenticate(ctx context.Context, address netip.Addr, token string) (Caller, int) {
	if from, ok := s.Authenticator.Known(token); ok { // No stranger takes its turn.
		return from, http.StatusOK
	}
	if !enter(ctx, s.reviews) {
		return Caller{}, http.StatusTooManyRequests
	}
	defer func() { <-s.reviews }()
	if s.guesses.refused(address, time.Now()) {
		return Caller{}, http.StatusTooManyRequests
	}
	from, err := s.Authenticator.Authenticate(ctx, token)
	switch {
	case errors.Is(err, ErrToken):
		s.guesses.guessed(address, time.Now())
		return Caller{}, http.StatusUnauthorized
	case err != nil:
		s.Logger.Warn("can't tell whose token a worker has; it comes again", "error", err)
		return Caller{}, http.StatusInternalServerError
	}
	return from, http.StatusOK
}

func (s *Server) take(ctx context.Context, from Caller, body []byte) ([]byte, int) {
	log := s.Logger.With("namespace", from.Namespace, "pod", from.Pod)
	p, err := DecodePush(body)
	if err != nil {
		log.Warn("a worker's push was not understood", "error", err)
		return nil, http.StatusBadRequest
	}
	if p.ID.Namespace != from.Namespace {
		return nil, http.StatusForbidden
	}
	reply, err := s.Taker.Take(ctx, from, p)
	for code, why := range codes {
		if errors.Is(err, why) {
			return nil, code
		}
	}
	var b []byte
	if err == nil {
		b, err = EncodeReply(reply)
	}
	if err != nil {
		log.Warn("a worker's push was not taken", "error", err)
		return nil, http.StatusInternalServerError
	}
	return b, http.StatusOK
}

// occupy and leave hold each caller to one push at a time.
func (s *Server) occupy(c Caller) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[c] {
		return false
	}
	s.busy[c] = true
	return true
}

func (s *Server) leave(c Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, c)
}
