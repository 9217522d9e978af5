//go:build !interop

package interop

import "os"

// command runs torrent-operator: this very test binary, so that a plain
// "go test" needs nothing built before.
var command = os.Args[0]
