package dht

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// tokens are given to those who ask for peers, and wanted of those who announce
// one (BEP 5, "get_peers"). A token is good for one address and one torrent.
type tokens struct {
	secrets [2][32]byte // The current one, and the one before.
	turn    time.Time   // When the next secret is due.
}

// renew makes another secret when it is due.
func (k *tokens) renew(now time.Time, rng *rand.Rand) {
	if now.Before(k.turn) {
		return
	}
	if now.Sub(k.turn) >= tokenTurn { // Also the one before is too old, or there was none.
		k.secrets[0] = secret(rng)
	}
	k.secrets[1], k.secrets[0] = k.secrets[0], secret(rng)
	k.turn = now.Add(tokenTurn)
}

func secret(rng *rand.Rand) (s [32]byte) {
	for i := 0; i < len(s); i += 8 {
		binary.BigEndian.PutUint64(s[i:], rng.Uint64())
	}
	return s
}

// tokenLen is how many bytes a token of ours has.
const tokenLen = 8

func (k *tokens) give(to netip.Addr, hash ID) []byte { return token(k.secrets[0], to, hash) }

func (k *tokens) accept(t []byte, from netip.Addr, hash ID) bool {
	for _, s := range k.secrets {
		if subtle.ConstantTimeCompare(t, token(s, from, hash)) == 1 {
			return true
		}
	}
	return false
}

func token(secret [32]byte, a netip.Addr, hash ID) []byte {
	b := append(append(secret[:], a.AsSlice()...), hash[:]...)
	sum := sha256.Sum256(b)
	return sum[:tokenLen]
}
