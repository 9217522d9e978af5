// Package light holds peers that are written for measuring others: they cost
// as little as a peer can on Linux, so that what a run costs is the client's.
// [Seed] serves a payload, [Leech] asks for all of one and throws it away,
// [Crowd] is there and does little or nothing, and [Floor] is the least that a
// correct download is: the distance to it says what is left to gain.
//
// They speak BEP 3 and, with peers that do so too, the Fast extension (BEP 6);
// over plain TCP only. They are friendly: limits on what strangers may send are
// not their business, and a peer that breaks the protocol is simply left.
//
// Each says what happens in lines on its writer, as described there, so that
// it can run in a process of its own whose cost is counted apart. Sockets are
// in blocking mode, one thread each: a blocking call costs less than the
// poller, which would first try, then wait, then try again.
package light
