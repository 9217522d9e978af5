package swarm

// Source says who told us of a peer.
type Source uint8

// The sources of peers.
const (
	FromTracker  Source = iota
	FromUser            // A person named it.
	FromPEX             // Another peer is or was connected to it (BEP 11).
	FromIncoming        // It called us.
	sources             // How many there are.
)

// String returns a word for it.
func (s Source) String() string {
	return [sources]string{"tracker", "user", "pex", "incoming"}[s]
}
