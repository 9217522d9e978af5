// Package lsd finds peers in the local network: it tells a multicast group which
// torrents there are here, and hears what others tell (BEP 14, local service
// discovery). What is heard is anybody's word, to be treated as such.
//
//   - message.go: announces; bytes ↔ values;
//   - schedule.go: which torrents are told of, and when; reads no clock;
//   - server.go: the sockets and the goroutines, called by the engine;
//   - limits.go: what one packet may hold, and how often is sent and listened.
package lsd
