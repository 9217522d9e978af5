package report

// Bounds on what each end takes from the other.
const (
	// MaxResult is the largest termination message that Kubernetes keeps, in
	// bytes.
	MaxResult = 4096
	// MaxPush bounds the body of a push: a bitfield of 16 million pieces and
	// some hundred trackers.
	MaxPush = 4 << 20
	// MaxReply bounds the body of a reply: a request with a .torrent file of
	// the size of a Secret.
	MaxReply = 4 << 20
)
