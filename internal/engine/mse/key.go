package mse

import (
	"crypto/rand"
	"crypto/rc4"
	"crypto/sha1"
	"math/big"
)

// prime is the modulus of the Diffie-Hellman exchange, and generator its base.
var (
	prime, _ = new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD1"+
		"29024E088A67CC74020BBEA63B139B22514A08798E3404DD"+
		"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245"+
		"E485B576625E7EC6F44C42E9A63A36210000000000090563", 16)
	generator = big.NewInt(2)
	largest   = new(big.Int).Sub(prime, big.NewInt(2)) // Of keys that are good for anything.
)

// computing holds a token for each key that is being computed.
var computing = make(chan struct{}, maxComputing)

// secret is a private key. It is for one handshake alone, so it does no harm
// that math/big takes longer for some keys than for others.
type secret struct{ x *big.Int }

// newSecret makes a private key, of 160 bits as the specification has it.
func newSecret() secret {
	b := make([]byte, 20)
	rand.Read(b)
	return secret{new(big.Int).SetBytes(b)}
}

// public returns the key that the other side is sent.
func (s secret) public() []byte { return s.power(generator) }

// shared returns what both sides make of their own secret and the other's
// public key. The error is [ErrKey] for keys by which anybody would know it.
func (s secret) shared(theirs []byte) ([]byte, error) {
	y := new(big.Int).SetBytes(theirs)
	if y.Cmp(generator) < 0 || y.Cmp(largest) > 0 {
		return nil, ErrKey
	}
	return s.power(y), nil
}

func (s secret) power(base *big.Int) []byte {
	computing <- struct{}{}
	defer func() { <-computing }()
	return new(big.Int).Exp(base, s.x, prime).FillBytes(make([]byte, keyLen))
}

// hash is SHA-1 over all parts.
func hash(parts ...[]byte) (sum [sha1.Size]byte) {
	h := sha1.New()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// Name is what a caller calls a torrent by, so that its info hash can't be
// read on the way: H('req2', SKEY).
type Name [sha1.Size]byte

// NameOf returns the name of a torrent of that info hash.
func NameOf(infoHash [20]byte) Name { return hash([]byte("req2"), infoHash[:]) }

// veiled returns a name as it is sent, or the name of what was sent.
func (n Name) veiled(shared []byte) Name {
	for i, b := range hash([]byte("req3"), shared) {
		n[i] ^= b
	}
	return n
}

// dropped is how many bytes of a key stream are not used.
const dropped = 1024

// newCipher returns one direction of the stream: "keyA" from the side that
// dialed, "keyB" to it.
func newCipher(direction string, shared []byte, infoHash [20]byte) *rc4.Cipher {
	key := hash([]byte(direction), shared, infoHash[:])
	c, _ := rc4.NewCipher(key[:]) // It fails for other lengths alone.
	var unused [dropped]byte
	c.XORKeyStream(unused[:], unused[:])
	return c
}
