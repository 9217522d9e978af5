// Package interop runs the torrent-operator command in real processes: a
// swarm of itself, and, behind the build tag interop, exchanges with
// transmission, aria2 and libtorrent in both directions, with opentracker as
// the tracker. "make interop" runs them all. Everything stays on loopback, and
// every file that arrives is compared by its hash.
package interop
