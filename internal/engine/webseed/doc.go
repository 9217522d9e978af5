// Package webseed gets blocks from a web server that has a torrent's files
// (BEP 19), and looks to its caller like a connection to a peer that has
// everything and chokes nobody: a [Conn] takes requests and says which blocks
// have come. The engine makes a [Seed] for each URL and is the [Sink] of its
// connections. Which blocks to ask for is the swarm's choice, as with any peer.
//
// # Servers with ranges
//
// Requests for neighbouring blocks become one HTTP request for a range of a
// file, and its body goes from the socket straight into the places that the
// sink leases. A few such requests run at once, each on a connection of its own
// that is kept open, so that one of them brings bytes while others wait for
// their answer. The first request goes alone, until the server has shown that
// it knows ranges.
//
//	Send ─▶ queue ─▶ run of neighbours ─▶ GET, one a file ─▶ Sink.Claim … Commit ─▶ Sink.Deliver
//
// # Servers without
//
// A server that answers 200 to a range sends the whole file. Then the connection
// ends and the next one says that it has nothing, so nothing is asked of it: it
// reads each file that lacks something once, from the start, in the order of the
// torrent, and hands over what is wanted of it without having been asked.
//
// # When it does not work
//
// Whatever goes wrong ends the connection, which gives all that was asked of it
// back to the swarm. [Seed.After] says how long to wait before the next one:
// longer each time, or as long as the server asks for (Retry-After). A file that
// the server does not have, or has in another length, is remembered, and the
// next connection does without its pieces. A block that trickles, an answer that
// is not what was asked for, and a body that breaks off before its first byte
// end the connection too. Wrong bytes are found by their piece's hash, and then
// the swarm closes the connection for good.
//
// # What is kept secret
//
// Paths and queries of URLs may hold passkeys: errors name the host alone.
// Headers that were given for a server go to no other that it redirects to.
package webseed
