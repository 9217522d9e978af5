// Package tracker asks trackers for peers, over HTTP, HTTPS and UDP, and is a
// small tracker itself.
//
// A [Client] makes one announce or scrape and reads one reply (BEP 3, 7, 23,
// 31, 48 over HTTP, BEP 15, 41 over UDP). A [Session] keeps one torrent
// announced to all of its trackers: what is due when, and at whom, is decided
// in schedule.go, which is pure; the session is the goroutine that carries it
// out. A [Server] answers announces and scrapes of both kinds (BEP 3, 7, 15,
// 23, 48) from memory.
//
// Announce URLs hold passkeys, so they are secrets: no error, log line or
// status of this package contains more of one than its scheme and host.
//
// Trackers of other kinds (wss://) are reported as not supported and never
// tried.
package tracker
