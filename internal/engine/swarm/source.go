package swarm

// Source says who told us of a peer.
type Source uint8

// The sources of peers.
const (
	FromTracker  Source = iota
	FromUser            // A person named it.
	FromPEX             // Another peer is or was connected to it (BEP 11).
	FromIncoming        // It called us.
	FromDHT             // The DHT knows it (BEP 5).
	FromLocal           // It has told the local network of itself (BEP 14).
	sources             // How many there are.
)

// String returns a word for it.
func (s Source) String() string {
	return [sources]string{"tracker", "user", "pex", "incoming", "dht", "local"}[s]
}

// hearsay says that a source is neither a person nor a tracker: anybody may say
// anything there, and the peers of a private torrent must not come from it (BEP
// 27).
func (s Source) hearsay() bool { return s == FromPEX || s == FromDHT || s == FromLocal }
