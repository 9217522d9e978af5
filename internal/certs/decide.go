package certs

import (
	"crypto/x509"
	"slices"
	"time"
)

// plan is what is to be done, in this order.
type plan struct {
	anew    bool // Everything: there is nothing, or nothing of use.
	promote bool // The next authority becomes the one that signs.
	next    bool // Make the next authority.
	drop    bool // Take authorities out of the bundle that have expired.
	serve   bool // Make a serving certificate.
	again   time.Time
}

// idle says that there is nothing to do before again.
func (p plan) idle() bool { return !p.anew && !p.promote && !p.next && !p.drop && !p.serve }

// decide says what is to be done with what there is at a time, and when to look
// again if that is nothing.
func decide(now time.Time, s *state, names []string) plan {
	var p plan
	if s == nil {
		p.anew = true
		return p
	}
	p.again = s.signer.cert.NotAfter.Add(-authorityLeft)
	signer := s.signer
	if s.next != nil {
		p.again = made(s.next.cert).Add(Spread)
		if !now.Before(p.again) || !now.Before(signer.cert.NotAfter) {
			p.promote, signer = true, s.next
		}
	} else if !now.Before(p.again) {
		p.next = true
	}
	// Nobody was there to make the next in time: what it would take to go on as
	// usual is more than is left.
	left := signer.cert.NotAfter.Sub(now)
	if left <= 0 || s.next == nil && left <= servingLeft+Spread {
		return plan{anew: true}
	}
	for _, c := range s.bundle {
		p.drop = p.drop || !now.Before(c.NotAfter)
		p.again = earlier(p.again, c.NotAfter)
	}
	c := s.serving.cert
	renewal := c.NotAfter.Add(-servingLeft)
	p.serve = !now.Before(renewal) || c.CheckSignatureFrom(signer.cert) != nil || !slices.Equal(c.DNSNames, names)
	p.again = earlier(p.again, renewal)
	return p
}

// made returns when a certificate of ours was made.
func made(c *x509.Certificate) time.Time { return c.NotBefore.Add(skew) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
