// Package utp is the Micro Transport Protocol (BEP 29): a stream of bytes in
// packets of UDP that gives way to everything else on its path (LEDBAT, RFC
// 6817). It knows no torrents. Package transport owns the socket of UDP, hands
// in what arrives there and sends what is to leave.
//
// What decides is pure: a [link] is one connection, to which the time and
// packets come as arguments, and which says what is to leave and when it wants
// to be woken. Around it a [Socket] finds the link of a packet, and a [Conn] is
// a link as a [net.Conn].
//
// # Where we follow others instead of the letter
//
// The answer to a SYN carries the number of the first packet of data to come,
// and takes none itself. Its sender resends nothing before it has heard more than
// a SYN, so an address that is not the caller's own costs one small packet.
// Acknowledgements leave once for all that came with one read of the socket,
// and there is no timer that would delay them.
package utp
