// Package wire is the language of peers: it turns the bytes between two
// connected peers into values and back. It reads no socket, keeps no state and
// decides nothing; peerconn and transport call it.
//
// # Handshake
//
// Both sides begin with 68 bytes (BEP 3, "peer protocol"). An incoming
// connection is answered after the first 48 ([ParsePreamble]): they say which
// torrent is meant, and many peers send their id only after the answer.
//
//	0        1                    20         28                  48                  68
//	+--------+--------------------+----------+-------------------+-------------------+
//	| 19     | BitTorrent protocol| reserved | info hash         | peer id           |
//	+--------+--------------------+----------+-------------------+-------------------+
//
// # Messages
//
// After that come messages, each with its length before it. All integers are
// big-endian. A length of zero is the keep-alive, which has no id.
//
//	0                   4    5
//	+-------------------+----+--------------------------------+
//	| length of id+body | id | body                           |
//	+-------------------+----+--------------------------------+
//
//	id  message         body
//	 0  choke           -
//	 1  unchoke         -
//	 2  interested      -
//	 3  not interested  -
//	 4  have            index
//	 5  bitfield        one bit a piece, the first piece is the high bit of the first byte
//	 6  request         index, begin, length
//	 7  piece           index, begin, then the block itself
//	 8  cancel          index, begin, length
//	 9  port            DHT port, two bytes (BEP 5)
//	13  suggest         index                                            (BEP 6)
//	14  have all        -                                                (BEP 6)
//	15  have none       -                                                (BEP 6)
//	16  reject          index, begin, length                             (BEP 6)
//	17  allowed fast    index                                            (BEP 6)
//	20  extended        id of the extended message, then its own content (BEP 10)
//
// index, begin and length are four bytes each. Other ids are skipped, so that
// peers may speak extensions that are not known here.
//
// # Blocks travel beside
//
// The payload of a piece message is never part of a [Message]: it goes from
// the socket straight to where it belongs. So [Append] writes the header of a
// piece message only, and [ParsePiece] reads it.
//
// # Limits
//
// [CheckLength] is asked when a message's length and id are known and nothing
// else is: before anything is allocated for it. What an index or an offset
// means for a torrent is not known here and is checked by the swarm.
package wire
