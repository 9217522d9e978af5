package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const day = 24 * time.Hour

var names = []string{"torrent-operator-workers.system.svc"}

// store is the Secrets of a namespace.
type store struct {
	mu      sync.Mutex
	secret  *corev1.Secret
	version int
	writes  int
	fails   error
	between func() // Called once between reading and writing.
}

var resource = schema.GroupResource{Resource: "secrets"}

func (s *store) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fails != nil:
		return nil, s.fails
	case s.secret == nil:
		return nil, apierrors.NewNotFound(resource, name)
	}
	return s.secret.DeepCopy(), nil
}

func (s *store) Create(_ context.Context, secret *corev1.Secret, _ metav1.CreateOptions) (*corev1.Secret, error) {
	s.interrupt()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secret != nil {
		return nil, apierrors.NewAlreadyExists(resource, secret.Name)
	}
	return s.put(secret), nil
}

func (s *store) Update(_ context.Context, secret *corev1.Secret, _ metav1.UpdateOptions) (*corev1.Secret, error) {
	s.interrupt()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.secret == nil:
		return nil, apierrors.NewNotFound(resource, secret.Name)
	case s.secret.ResourceVersion != secret.ResourceVersion:
		return nil, apierrors.NewConflict(resource, secret.Name, errors.New("changed"))
	}
	return s.put(secret), nil
}

func (s *store) put(secret *corev1.Secret) *corev1.Secret {
	s.version++
	s.writes++
	s.secret = secret.DeepCopy()
	s.secret.ResourceVersion = strconv.Itoa(s.version)
	return s.secret.DeepCopy()
}

func (s *store) interrupt() {
	s.mu.Lock()
	f := s.between
	s.between = nil
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

func newKeeper(s Secrets) *Keeper { return New(s, "certs", names, slog.New(slog.DiscardHandler)) }

// trusts says whether a client that trusts a bundle lets itself be served with
// what a keeper presents now.
func trusts(bundle []byte, k *Keeper) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	cert, err := k.Certificate(nil)
	if err != nil {
		return err
	}
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: names[0], CurrentTime: time.Now()})
	return err
}

// Three years, in which there is at all times a worker whose bundle is nearly as
// old as it may be.
func TestNoWorkerIsCutOffByARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = 8 * time.Hour
		s := &store{}
		keepers := []*Keeper{newKeeper(s), newKeeper(s)}
		var bundles [][]byte
		for range 3 * 365 * day / step {
			for _, k := range keepers {
				if _, err := k.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			bundles = append(bundles, keepers[0].Bundle())
			for _, k := range keepers {
				if err := trusts(bundles[max(0, len(bundles)-int(Spread/step))], k); err != nil {
					t.Fatalf("after %v: %v", time.Duration(len(bundles))*step, err)
				}
			}
			if n, one := len(keepers[0].Bundle()), len(bundles[0]); n > 2*one+one/2 {
				t.Fatalf("a bundle of %d bytes, the first had %d", n, one)
			}
			time.Sleep(step)
		}
		if s.writes < 3*4 || s.writes > 3*10 {
			t.Errorf("%d writes in three years", s.writes)
		}
	})
}

func TestWhoComesSecondTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		a, b := newKeeper(s), newKeeper(s)
		sync := func(k *Keeper) {
			t.Helper()
			if _, err := k.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.between = func() { sync(b) } // Both find nothing, and b is first.
		sync(a)
		if s.writes != 1 || string(a.Bundle()) != string(b.Bundle()) {
			t.Errorf("%d writes", s.writes)
		}
		time.Sleep(servingLife - servingLeft)
		s.between = func() { sync(b) }
		sync(a)
		if s.writes != 2 || trusts(b.Bundle(), a) != nil {
			t.Errorf("%d writes, %v", s.writes, trusts(b.Bundle(), a))
		}
		ca, _ := a.Certificate(nil)
		cb, _ := b.Certificate(nil)
		if !ca.Leaf.Equal(cb.Leaf) {
			t.Error("they serve different certificates")
		}
	})
}

func TestWhatIsOfNoUseIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		k := newKeeper(s)
		if _, err := k.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		good := s.secret.DeepCopy()
		for what, spoil := range map[string]func(*corev1.Secret){
			"empty":     func(c *corev1.Secret) { c.Data = nil },
			"no bundle": func(c *corev1.Secret) { delete(c.Data, BundleKey) },
			"garbage": func(c *corev1.Secret) {
				c.Data[BundleKey] = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
			},
			"no signer":       func(c *corev1.Secret) { delete(c.Data, signerKey) },
			"another signer":  func(c *corev1.Secret) { c.Data[signerKey] = c.Data[servingKey] },
			"no key":          func(c *corev1.Secret) { c.Data[servingKey] = []byte("x") },
			"another next":    func(c *corev1.Secret) { c.Data[nextKey] = c.Data[servingKey] },
			"another serving": func(c *corev1.Secret) { c.Data[servingCert] = c.Data[BundleKey] },
		} {
			s.secret = good.DeepCopy()
			spoil(s.secret)
			if _, err := k.Sync(t.Context()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if maps.EqualFunc(s.secret.Data, good.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
				t.Errorf("%s: the Secret is what it was", what)
			}
			if _, err := read(s.secret.Data); err != nil {
				t.Errorf("%s: it is still of no use: %v", what, err)
			}
			if err := trusts(s.secret.Data[BundleKey], k); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestAnOperatorThatWasAwayForLongGoesOn(t *testing.T) {
	for _, away := range []time.Duration{authorityLife - authorityLeft, authorityLife - servingLeft, authorityLife - time.Minute, authorityLife, 3 * authorityLife} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			if _, err := newKeeper(s).Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(away)
			k := newKeeper(s)
			again, err := k.Sync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := trusts(k.Bundle(), k); err != nil {
				t.Errorf("after %v: %v", away, err)
			}
			if !again.After(time.Now()) {
				t.Errorf("after %v: something is due at %v, it is %v", away, again, time.Now())
			}
		})
	}
}

func TestAnotherNameIsAnotherCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		if _, err := newKeeper(s).Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := s.secret.Data[BundleKey]
		k := New(s, "certs", []string{"renamed.system.svc"}, slog.New(slog.DiscardHandler))
		if _, err := k.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		cert, err := k.Certificate(nil)
		if err != nil || cert.Leaf.VerifyHostname("renamed.system.svc") != nil || string(before) != string(k.Bundle()) {
			t.Errorf("%v, serving %v", err, cert.Leaf.DNSNames)
		}
	})
}

// What is due is done at its time, without anybody asking.
func TestAKeeperRunsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		k := newKeeper(s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := k.Start(ctx); err != nil {
				t.Error(err)
			}
		}()
		<-k.Ready()
		time.Sleep(3 * day)
		s.mu.Lock()
		s.secret = nil // A person removed it.
		s.mu.Unlock()
		time.Sleep(poll + time.Second)
		synctest.Wait()
		if again, err := s.Get(ctx, "", metav1.GetOptions{}); err != nil || trusts(again.Data[BundleKey], k) != nil {
			t.Error("the Secret was not made again")
		}
		cancel()
		<-done
	})
}

func TestAnAPIServerThatIsAwayIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fails: errors.New("away")}
		k := newKeeper(s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := k.Start(ctx); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Hour)
		if _, err := k.Certificate(nil); err == nil || k.Bundle() != nil {
			t.Error("there is a certificate, and no Secret")
		}
		s.mu.Lock()
		s.fails = nil
		s.mu.Unlock()
		<-k.Ready()
		if err := trusts(k.Bundle(), k); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
	})
}

// The next connection is served with what is there then.
func TestACertificateIsLoadedWhileServing(t *testing.T) {
	s := &store{}
	k := newKeeper(s)
	if _, err := k.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: k.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				c.(*tls.Conn).Handshake() //nolint:errcheck // The client will see.
				c.Close()
			}(c)
		}
	}()
	served := func() *x509.Certificate {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(k.Bundle())
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: names[0]})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	before := served()
	s.mu.Lock()
	s.secret = nil
	s.mu.Unlock()
	if _, err := k.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := served(); after.Equal(before) {
		t.Error("it is still served with the old certificate")
	}
}
