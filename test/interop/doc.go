// Package interop runs the torrent-operator command in real processes: a
// swarm of itself, and, behind the build tag interop, exchanges with
// transmission, aria2 and libtorrent in both directions, with opentracker as
// the tracker. "make interop" runs them all. Everything stays on loopback, and
// every file that arrives is compared by its hash.
//
// docs/interop.md is the matrix of what ran. A test enters it with one call at
// its beginning, record(t, "web seed", "nginx", torrentOperator.name), which
// means that nginx gives and torrent-operator takes; how the test ends is the
// outcome. What another program is unable to do is entered with its reason by
// cannot. The rows are sorted by the name of the feature. A program that is new
// has a line in versions. "make interop WRITE=1" writes the page again.
package interop
