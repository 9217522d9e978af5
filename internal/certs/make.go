package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// state is what the Secret holds.
type state struct {
	bundle  []*x509.Certificate // Trusted authorities, the newest first. Signer and next are among them.
	signer  *pair
	next    *pair // nil if there is none.
	serving *pair
}

// carryOut returns what there is when a plan was carried out.
func carryOut(p plan, now time.Time, s *state, names []string) (*state, error) {
	out := &state{}
	if !p.anew {
		*out = *s
		out.bundle = slices.Clone(s.bundle)
	}
	var err error
	if p.anew {
		if out.signer, err = newAuthority(now); err != nil {
			return nil, err
		}
		out.bundle = []*x509.Certificate{out.signer.cert}
	}
	if p.promote {
		out.signer, out.next = out.next, nil
	}
	if p.next {
		if out.next, err = newAuthority(now); err != nil {
			return nil, err
		}
		out.bundle = slices.Insert(out.bundle, 0, out.next.cert)
	}
	if p.drop {
		out.bundle = slices.DeleteFunc(out.bundle, func(c *x509.Certificate) bool { return !now.Before(c.NotAfter) })
	}
	if p.anew || p.serve {
		if out.serving, err = newServing(now, out.signer, names); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func newAuthority(now time.Time) (*pair, error) {
	return sign(&x509.Certificate{
		Subject:   pkix.Name{CommonName: "torrent-operator workers"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
}

func newServing(now time.Time, signer *pair, names []string) (*pair, error) {
	return sign(&x509.Certificate{
		Subject:   pkix.Name{CommonName: "torrent-operator"},
		NotBefore: now.Add(-skew), NotAfter: earlier(now.Add(servingLife), signer.cert.NotAfter),
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}, signer)
}

// sign makes a certificate, signed by itself if there is no signer.
func sign(c *x509.Certificate, by *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	if by == nil {
		by = &pair{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &pair{cert, key}, err
}

// data returns what the Secret is to hold.
func (s *state) data() (map[string][]byte, error) {
	out := map[string][]byte{BundleKey: encodeCerts(s.bundle...), servingCert: encodeCerts(s.serving.cert)}
	for name, p := range map[string]*pair{signerKey: s.signer, nextKey: s.next, servingKey: s.serving} {
		if p == nil {
			continue
		}
		der, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			return nil, err
		}
		out[name] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return out, nil
}

// read reads what the Secret holds. An error says that it is of no use.
func read(data map[string][]byte) (*state, error) {
	var s state
	var err error
	if s.bundle, err = decodeCerts(BundleKey, data[BundleKey]); err != nil {
		return nil, err
	}
	serving, err := decodeCerts(servingCert, data[servingCert])
	if err != nil {
		return nil, err
	}
	if s.signer, err = match(s.bundle, signerKey, data[signerKey]); err != nil {
		return nil, err
	}
	if len(data[nextKey]) > 0 {
		if s.next, err = match(s.bundle, nextKey, data[nextKey]); err != nil {
			return nil, err
		}
	}
	if s.serving, err = match(serving, servingKey, data[servingKey]); err != nil {
		return nil, err
	}
	return &s, nil
}

// match finds the certificate of a key.
func match(certs []*x509.Certificate, name string, b []byte) (*pair, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", name)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind", name)
	}
	for _, c := range certs {
		if key.PublicKey.Equal(c.PublicKey) {
			return &pair{c, key}, nil
		}
	}
	return nil, fmt.Errorf("there is no certificate of %s", name)
}

func encodeCerts(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

func decodeCerts(name string, b []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		certs = append(certs, c)
	}
	if certs == nil {
		err = errors.New(name + " holds no certificate")
	}
	return certs, err
}

// tls returns the serving certificate as a server presents it.
func (s *state) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{s.serving.cert.Raw}, PrivateKey: s.serving.key, Leaf: s.serving.cert}
}
