// Package certs makes and rotates the certificates by which workers know the
// operator's endpoint, so that nobody has to install anything for it. All
// replicas share one Secret of the operator's namespace, and whoever finds that
// something is due does it.
//
// A new authority is trusted before it signs: its certificate stands in the
// bundle that workers get for [Spread] before the first serving certificate is
// made with it, and the old one stays in there until it expires. So no worker
// is cut off by a rotation.
//
// What is to be done is decided by decide, which is told the time; [Keeper]
// carries it out. Main starts one, and hands it to the server of package report
// and to the executor that writes the workers' Secrets.
package certs

import "time"

// How long everything lasts.
const (
	// authorityLife is how long the certificate of an authority is valid.
	authorityLife = 365 * 24 * time.Hour
	// authorityLeft is how long before its end the next one is made.
	authorityLeft = 120 * 24 * time.Hour
	// Spread is how long a new authority is in the bundle before it signs: as
	// long as the bundle may take to reach every worker.
	Spread = 24 * time.Hour
	// servingLife is how long a serving certificate is valid.
	servingLife = 90 * 24 * time.Hour
	// servingLeft is how long before its end the next one is made.
	servingLeft = 30 * 24 * time.Hour
	// skew is how much the clocks of nodes may differ: certificates are valid
	// so long before they are made.
	skew = time.Hour
)

// The keys of the Secret.
const (
	// BundleKey holds the certificates of all trusted authorities.
	BundleKey = "ca.crt"
	// The private keys of the authority that signs, and of the next one.
	signerKey, nextKey = "ca.key", "next.key"
	// The serving certificate and its key.
	servingCert, servingKey = "tls.crt", "tls.key"
)
