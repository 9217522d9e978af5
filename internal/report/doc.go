// Package report is the whole contract between a worker Pod and the operator,
// both ends of it, so that they cannot drift: the [Order] that a worker starts
// with, the [Push] that it sends while it runs and the [Reply] to it, and the
// [Result] and exit code that it leaves behind.
//
// A push is worth only as much as its news: a worker goes on without anybody
// who listens, and what it came to lies in the Pod's termination message, so a
// lost push loses nothing. A worker of an earlier or later version than the
// operator is understood as far as it goes: fields that one of them does not
// know are left alone.
//
// The package knows HTTP and no Kubernetes. Its callers are internal/worker at
// one end and internal/executor/podexec at the other.
package report

import "github.com/torrent-operator/torrent-operator/internal/download"

// Where the worker finds what it is given, and leaves what it came to.
const (
	// OrderDir holds the keys of the Secret that the operator writes for a
	// download: OrderKey, and CAKey for the certificate of its endpoint.
	OrderDir = "/etc/torrent-operator"
	OrderKey = "order.json"
	CAKey    = "ca.crt"
	// TokenDir holds TokenKey, a service account token for Audience alone.
	TokenDir = "/var/run/secrets/torrent-operator.io"
	TokenKey = "token"
	Audience = "torrent-operator.io/report"
	// DataDir is the root of the claim.
	DataDir = "/data"
	// ResultPath is the container's termination message.
	ResultPath = "/dev/termination-log"
	// Path is that of the operator's endpoint.
	Path = "/v1/report"
)

// The exit codes of a worker.
const (
	ExitDone    = 0 // Complete and durable; for ResolveOnly resolved; for Erase erased.
	ExitFailed  = 1 // Result.Progress.Err says why.
	ExitOrder   = 3 // There is no order that could be understood.
	ExitStopped = 7 // Told to stop before it was done; the next one goes on.
	// A worker that crashed has exited with 2, as any program written in Go, or
	// was killed: then its Result is how far it was known to have come.
)

// Task is what a worker is there for.
type Task string

// The tasks.
const (
	// Download is done when everything is durable, or for Request.ResolveOnly
	// when the metadata is known; then it ends. Request.Seeding is not for it.
	Download Task = "Download"
	// Seed is at rest when Request.Seeding is satisfied, and waits to be ended.
	Seed Task = "Seed"
	// Erase removes the torrent's own data, and ends.
	Erase Task = "Erase"
)

// Order is what a worker starts with. Any Task ends if it fails.
type Order struct {
	ID       download.ID
	Task     Task
	Revision string // Names Request: what a worker has, it says with each push. Not empty.
	Request  download.Request
	// Endpoint is host:port of the operator. The host is a name of which each
	// address is a replica; the one that leads takes pushes. "" is nobody: the
	// worker tells by its Result alone.
	Endpoint string
}

// Push is what a worker tells. The sender is known by its token.
type Push struct {
	ID       download.ID
	Revision string // Of the request that Progress is about.
	Progress download.Progress
}

// Reply is what the operator answers.
type Reply struct {
	Revision string
	// Request is what is wanted now; nil if that is what the worker has.
	Request *download.Request
}

// Result is what a worker leaves behind in at most [MaxResult] bytes of JSON:
// the last snapshot, without its lists. It is written again and again, so that
// it is there however the worker ends; only the exit code says that it is final.
//
// What is done is told by the state: Complete for Download and Erase, Waiting
// for Request.ResolveOnly, Failed with its failure for ExitFailed.
type Result struct {
	Progress download.Progress
	Revision string // Of the request that Progress is about.
}
