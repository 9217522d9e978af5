// Package mse is message stream encryption, the obfuscation that BitTorrent
// clients have agreed on so that a connection can't be told by its bytes
// ("Message Stream Encryption", specification of Azureus, December 2005; it is
// no BEP). It does the handshake of both sides, and turns the bytes that
// follow. It does not dial, sets no deadlines and has no opinion on who is to
// be encrypted: that is transport's.
//
//	A ─▶ B  Ya, PadA
//	B ─▶ A  Yb, PadB
//	A ─▶ B  H('req1', S), H('req2', SKEY) xor H('req3', S),
//	        encrypted: VC, crypto_provide, len(PadC), PadC, len(IA), IA
//	B ─▶ A  encrypted: VC, crypto_select, len(PadD), PadD
//	then, both ways, the stream: under RC4, or as it is
//
// Y are Diffie-Hellman keys of 768 bits and S what both sides make of them, H
// is SHA-1, SKEY the torrent's info hash, VC eight zeros, and IA the beginning
// of A's stream. It keeps nobody out: whoever knows the info hash gets in, and
// RC4 is broken.
//
// Pads have any length up to a limit, so each side looks for what must follow
// them. Nothing is read beyond the handshake, so what comes after it can be
// read from the connection itself.
package mse

import "errors"

// The ways in which a handshake fails, besides errors of the connection.
var (
	// ErrKey says that a peer's key would give a secret that everybody knows.
	ErrKey = errors.New("a Diffie-Hellman key that is not one")
	// ErrSync says that what must follow a pad did not come: the peer speaks
	// something else, or of a torrent of its own.
	ErrSync = errors.New("not an encrypted BitTorrent handshake")
	// ErrTorrent says that the caller asks for a torrent that is not here.
	ErrTorrent = errors.New("no such torrent for encrypted callers")
	// ErrPad says that a pad is longer than is allowed.
	ErrPad = errors.New("a pad that is too long")
	// ErrMethod says that the two sides found no method in common.
	ErrMethod = errors.New("no method of encryption in common")
)
