package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// poll is how often the Secret is read: another replica may have changed it,
	// or a person removed it.
	poll = 5 * time.Minute
	// retry is in what time it is tried again after an error, and the least time
	// between two rounds.
	retry = 5 * time.Second
	// attempts is how often a round begins anew because another replica came
	// first.
	attempts = 5
)

// errNone says that there is no certificate yet.
var errNone = errors.New("the certificate is still being made")

// Secrets are those of the operator's namespace.
type Secrets interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error)
	Create(ctx context.Context, s *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error)
	Update(ctx context.Context, s *corev1.Secret, o metav1.UpdateOptions) (*corev1.Secret, error)
}

// Keeper sees to it that there is a Secret with valid certificates, and serves
// what it holds. Its methods may be called from any goroutine.
type Keeper struct {
	secrets Secrets
	name    string
	names   []string
	log     *slog.Logger

	current atomic.Pointer[served]
	ready   chan struct{} // Closed when there is a certificate.
}

// served is what is made of a Secret.
type served struct {
	cert   *tls.Certificate
	bundle []byte
}

// New returns a keeper of a Secret, for a server that is known by names.
func New(secrets Secrets, secret string, names []string, log *slog.Logger) *Keeper {
	return &Keeper{secrets: secrets, name: secret, names: names, log: log, ready: make(chan struct{})}
}

// Start keeps the Secret until ctx ends. Every replica does, leading or not.
func (k *Keeper) Start(ctx context.Context) error {
	for {
		wait := retry
		again, err := k.Sync(ctx)
		if err != nil && ctx.Err() == nil {
			k.log.Warn("the certificates for workers can't be kept; trying again", "secret", k.name, "error", err)
		} else if err == nil {
			wait = min(poll, max(time.Until(again), retry))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// NeedLeaderElection says that those who do not lead keep it too: they answer
// workers, if only that they do not lead.
func (*Keeper) NeedLeaderElection() bool { return false }

// Ready is closed when there is a certificate.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Certificate is a tls.Config's GetCertificate.
func (k *Keeper) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s := k.current.Load(); s != nil {
		return s.cert, nil
	}
	return nil, errNone
}

// Bundle returns, as PEM, the certificates that workers have to trust now; nil
// as long as there are none. What differs from the last time is to be passed on
// to all of them within [Spread].
func (k *Keeper) Bundle() []byte {
	if s := k.current.Load(); s != nil {
		return s.bundle
	}
	return nil
}

// Sync does what is due, and returns when the next is. Of two replicas that do
// something at once, one is first, and the other takes over what that one made.
func (k *Keeper) Sync(ctx context.Context) (again time.Time, err error) {
	for range attempts {
		again, err = k.round(ctx)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			break
		}
	}
	return again, err
}

// round reads the Secret, and writes it if something is due.
func (k *Keeper) round(ctx context.Context) (time.Time, error) {
	secret, err := k.secrets.Get(ctx, k.name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return time.Time{}, fmt.Errorf("reading Secret %s: %w", k.name, err)
	}
	var s *state
	if missing {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: k.name}, Type: corev1.SecretTypeOpaque}
	} else if s, err = read(secret.Data); err != nil {
		k.log.Warn("the Secret with the certificates for workers is of no use and is made anew", "secret", k.name, "error", err)
	}
	now := time.Now()
	p := decide(now, s, k.names)
	if !p.idle() {
		if s, err = carryOut(p, now, s, k.names); err != nil {
			return time.Time{}, err
		}
		if err := k.write(ctx, secret, s, missing); err != nil {
			return time.Time{}, err
		}
		p.again = decide(now, s, k.names).again
	}
	k.serve(s)
	return p.again, nil
}

// write puts s into the Secret.
func (k *Keeper) write(ctx context.Context, secret *corev1.Secret, s *state, missing bool) (err error) {
	if secret.Data, err = s.data(); err != nil {
		return err
	}
	if missing {
		_, err = k.secrets.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		_, err = k.secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s: %w", k.name, err)
	}
	k.log.Info("made certificates for workers", "secret", k.name, "validUntil", s.serving.cert.NotAfter, "authorities", len(s.bundle))
	return nil
}

// serve has s presented and trusted from now on.
func (k *Keeper) serve(s *state) {
	first := k.current.Swap(&served{cert: s.tls(), bundle: encodeCerts(s.bundle...)}) == nil
	if first {
		close(k.ready)
	}
}
