// Package dht is a node of the distributed hash table in which peers of
// torrents are found without a tracker (BEP 5), over IPv4 and IPv6 (BEP 32). It
// opens no socket: the engine hands it the packets of the socket that is
// shared with whatever else speaks over UDP, and sends what it answers.
//
// # Deciding and doing
//
// [Node] is the whole protocol and pure: packets and the time go in, packets and
// addresses come out. [Server] is the goroutine around it, which reads the
// clock, resolves names and keeps the state in a file. The files of Node:
//
//   - id.go: ids and their distance; places.go: whom one host and one network
//     is taken for, and which id an address may have (BEP 42).
//   - krpc.go, read.go: packets ↔ values.
//   - table.go, bucket.go: the routing table.
//   - lookup.go: the search for the nodes that are closest to an id.
//   - token.go, store.go: what others announce here.
//   - pace.go: how much is taken in and sent.
//   - answer.go: what others are answered; node.go, search.go, upkeep.go: the rest.
//
// # Two networks
//
// The nodes of IPv4 and of IPv6 are two networks that know little of each
// other. Each is a side of the Node, with a table and an id of its own: BEP 32
// would rather have one id, but BEP 42 derives it from the address.
//
// # Whom it believes
//
// Nobody is entered in the table who has not answered a question of ours, under
// a transaction id of 32 random bits and from the address that was asked.
// A host has one place in it, and a network of 256 addresses (a /48 of IPv6) two
// in a bucket and two in a lookup. Nodes whose id does not follow from their
// address (BEP 42) are asked too, but a lookup is not done before the closest
// others have answered, and asks no more than a few of them. Addresses of local
// networks are exempt, as there: there a host is an address with its port.
//
// What is answered to an address that has not shown that it hears us is at most
// maxAmplification times as long as its question. Who asks too often is not
// answered for a while. A node that is read-only (BEP 43) answers nobody.
package dht
