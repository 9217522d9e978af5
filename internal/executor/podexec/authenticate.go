package podexec

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/report"
)

// Authenticator asks the API server whose token it is: a Pod's, and made for
// [report.Audience] alone. What it was told holds for a moment.
type Authenticator struct {
	client client.Client
	now    func() time.Time

	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

var _ report.Authenticator = (*Authenticator)(nil)

// known is who has a token, and until when that is believed.
type known struct {
	caller report.Caller
	until  time.Time
}

// NewAuthenticator returns an authenticator that asks by c.
func NewAuthenticator(c client.Client) *Authenticator {
	return &Authenticator{client: c, now: time.Now, known: map[[sha256.Size]byte]known{}}
}

// What the API server tells of the Pod that a token was made for.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
	accountUser  = "system:serviceaccount:"
)

// Known implements [report.Authenticator].
func (a *Authenticator) Known(token string) (report.Caller, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.known[sha256.Sum256([]byte(token))]
	return k.caller, ok && a.now().Before(k.until)
}

// Authenticate implements [report.Authenticator].
func (a *Authenticator) Authenticate(ctx context.Context, token string) (report.Caller, error) {
	if caller, ok := a.Known(token); ok {
		return caller, nil
	}
	key, now := sha256.Sum256([]byte(token)), a.now()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{report.Audience}}}
	if err := a.client.Create(ctx, review); err != nil {
		return report.Caller{}, fmt.Errorf("having a token reviewed: %w", err)
	}
	caller, ok := callerOf(&review.Status)
	if !ok {
		return report.Caller{}, report.ErrToken
	}
	a.remember(key, known{caller, now.Add(callerFor)}, now)
	return caller, nil
}

// callerOf is the Pod that a review names; false if there is none.
func callerOf(s *authenticationv1.TokenReviewStatus) (report.Caller, bool) {
	account, isAccount := strings.CutPrefix(s.User.Username, accountUser)
	namespace, _, _ := strings.Cut(account, ":")
	name, uid := s.User.Extra[extraPodName], s.User.Extra[extraPodUID]
	if !s.Authenticated || !slices.Contains(s.Audiences, report.Audience) || !isAccount || namespace == "" ||
		len(name) != 1 || len(uid) != 1 || name[0] == "" || uid[0] == "" {
		return report.Caller{}, false
	}
	return report.Caller{Namespace: namespace, Pod: name[0], UID: uid[0]}, true
}

// remember makes room first, if there is none: of what is not believed any
// more, and else of anything.
func (a *Authenticator) remember(key [sha256.Size]byte, k known, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxCallers {
		for other, old := range a.known {
			if !now.Before(old.until) {
				delete(a.known, other)
			}
		}
	}
	for other := range a.known {
		if len(a.known) < maxCallers {
			break
		}
		delete(a.known, other)
	}
	a.known[key] = k
}
