package mse

// The limits on what a peer sends in a handshake. How long it may take is for
// who gives it a connection.
const (
	// keyLen is the length of a Diffie-Hellman key in bytes.
	keyLen = 96
	// maxPad is the length of each of the four pads at most.
	maxPad = 512
	// maxComputing is how many keys are computed at once by the whole process:
	// strangers can make it compute, but not on every processor.
	maxComputing = 1
)
