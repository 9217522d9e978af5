// Package swarm decides everything about one torrent: whom to connect to, what
// to ask of whom, what to send to whom, and whom to send away. It knows the
// protocol between peers (BEP 3, the Fast extension of BEP 6, and what goes
// through the extension protocol of BEP 10), and does nothing itself:
// [Swarm.Handle] takes what happened and the time, and returns what is to be
// done. Package engine is its one caller.
//
// It is pure: no clock, no goroutine, no I/O, and all randomness derives from
// [Config].Seed, so that the same events at the same times give the same
// effects.
//
// # The machine
//
// A batch of events is handled one by one (swarm.go); each may append to the
// effects at once. What concerns several events is done once at the end of the
// batch: peers that got a block, or something new to offer, are asked for more
// (request.go); slots that became free are given away (choke.go); places that
// became free are dialed (candidates.go). Once a second a tick looks for what
// did not happen: blocks that did not come, peers that are of no use.
//
//   - peer.go: connections from beginning to end, and interest.
//   - message.go: what peers say.
//   - request.go, pipeline.go, queue.go: what we ask, how much of it at once,
//     and until when we wait.
//   - upload.go, choke.go, fastset.go: what we are asked, and by whom we let us.
//   - piece.go, poison.go: pieces that are whole, right, wrong or lost; and
//     finding out who lied.
//   - candidates.go, source.go, filter.go: addresses, who told us of them, and
//     which may be used.
//   - room.go, priority.go, ours.go: which connections to keep.
//   - extended.go, pex.go: what peers say of themselves, and of others.
//   - limits.go: every limit on what a stranger can make us hold or do.
//
// Which block to ask for is the picker's question, whom to unchoke the
// choker's; both are packages of their own and know nothing of messages.
//
// # What holds at all times
//
//   - Outside end game a block is asked of one peer, unless it timed out there.
//   - No peer is asked for more at once than its pipeline is deep.
//   - A piece is ours, and told to others, only after PieceDone said OK.
//   - Nothing is sent that is not ours, or to a peer that is choked, but for
//     the pieces of its allowed fast set.
//   - Only a peer that is proved to have sent wrong bytes is banned.
//
// # Web seeds
//
// A web server that has the torrent (BEP 19) is one more peer here: it has
// everything, chokes nobody, and is never interested. It differs in that it has
// no address, takes no place of a peer's, takes larger pipelines, and may give
// blocks that it was not asked for.
package swarm
