package lsd

import "time"

const (
	// turn is from one announce of a torrent to the next, and gap from any to
	// any (BEP 14, "Usage").
	turn, gap = 5 * time.Minute, time.Minute

	maxPacket = 1400 // Bytes, received and sent (BEP 14, "Protocol").
	maxHashes = 20   // In one packet: so many fit. More are passed over.
	maxCookie = 32   // Bytes of a cookie that are looked at.

	// listenRate and listenBurst are how many packets are looked at in a second,
	// and at once after a pause; others are dropped.
	listenRate, listenBurst = 20, 100

	maxInterfaces = 32 // That are spoken on.
)
