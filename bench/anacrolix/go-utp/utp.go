// Package utp stands in for github.com/anacrolix/go-utp, which
// github.com/anacrolix/torrent needs to compile. It offers no uTP.
package utp

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// Default names the implementation.
const Default = "none"

// Option does nothing.
type Option struct{}

// FirewallCallback would say whether a connection from an address is refused.
type FirewallCallback func(net.Addr) bool

// Socket has the methods that are asked of a uTP socket. There is none.
type Socket interface {
	net.PacketConn
	Accept() (net.Conn, error)
	Addr() net.Addr
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	SetFirewallCallback(FirewallCallback)
}

var errNone = errors.New("this build has no uTP: set DisableUTP")

// WithLogger returns an option that does nothing.
func WithLogger(*slog.Logger) Option { return Option{} }

// NewSocket fails.
func NewSocket(_, _ string, _ ...Option) (Socket, error) { return nil, errNone }

// NewSocketFromPacketConn fails.
func NewSocketFromPacketConn(net.PacketConn, ...Option) (Socket, error) { return nil, errNone }
