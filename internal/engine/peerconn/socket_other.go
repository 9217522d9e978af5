//go:build !linux

package peerconn

import "net"

// newSocket returns the best socket that there is for a connection.
func newSocket(conn net.Conn) socket { return newPlain(conn) }
