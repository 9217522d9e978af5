package sha1pair

import (
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// ways runs a test with the instructions, where there are any, and without.
func ways(t *testing.T, test func(t *testing.T)) {
	detected := fast
	t.Cleanup(func() { fast = detected })
	if detected {
		t.Run("instructions", test)
	}
	t.Run("singles", func(t *testing.T) {
		fast = false
		test(t)
	})
}

func random(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// message returns n random bytes that begin at an odd address.
func message(src *rand.ChaCha8, n int) []byte {
	b := make([]byte, n+1)
	src.Read(b)
	return b[1:]
}

// check hashes a and b with p, in Writes of up to the given number of blocks
// each, and compares with crypto/sha1.
func check(t *testing.T, p *Pair, a, b []byte, split func() int) {
	t.Helper()
	p.Reset()
	for done := 0; done < len(a); {
		end := min(done+split()*blockSize, len(a))
		p.Write(a[done:end], b[done:end])
		done = end
	}
	for range 2 { // The first Sum must not change the second.
		gotA, gotB := p.Sum()
		if want := sha1.Sum(a); gotA != want {
			t.Errorf("first of two messages of %d bytes: sum %x, want %x", len(a), gotA, want)
		}
		if want := sha1.Sum(b); gotB != want {
			t.Errorf("second of two messages of %d bytes: sum %x, want %x", len(b), gotB, want)
		}
	}
}

func TestPairIsTwoHashes(t *testing.T) {
	ways(t, func(t *testing.T) {
		src := random(1)
		r := rand.New(src)
		lengths := []int{16384, 262144, atOnce, atOnce + 64, 3*atOnce - 1}
		for n := range 260 { // Every rest, within one block and beyond it.
			lengths = append(lengths, n)
		}
		for range 40 {
			lengths = append(lengths, r.IntN(100_000))
		}
		var p Pair // One for all: nothing of the last pair may remain.
		for _, n := range lengths {
			a, b := message(src, n), message(src, n)
			check(t, &p, a, b, func() int { return n/blockSize + 1 })
			check(t, &p, a, b, func() int { return 1 + r.IntN(20) })
		}
	})
}

// Between two Writes the sum is that of what came so far.
func TestSumOfWhatCameSoFar(t *testing.T) {
	ways(t, func(t *testing.T) {
		src := random(2)
		a, b := message(src, 1024), message(src, 1024)
		var p Pair
		p.Reset()
		for done := 0; done < len(a); done += 128 {
			p.Write(a[done:done+128], b[done:done+128])
			gotA, gotB := p.Sum()
			if gotA != sha1.Sum(a[:done+128]) || gotB != sha1.Sum(b[:done+128]) {
				t.Errorf("wrong after %d bytes", done+128)
			}
		}
	})
}

func TestWriteRefusesWhatItCannotHash(t *testing.T) {
	ways(t, func(t *testing.T) {
		for _, c := range []struct {
			want string
			do   func(p *Pair)
		}{
			{"64 and 128 bytes", func(p *Pair) { p.Write(make([]byte, 64), make([]byte, 128)) }},
			{"after 65 bytes, 1 beyond a multiple of 64", func(p *Pair) {
				p.Write(make([]byte, 65), make([]byte, 65))
				p.Write(make([]byte, 64), make([]byte, 64))
			}},
		} {
			t.Run(c.want, func(t *testing.T) {
				defer func() {
					if got := fmt.Sprint(recover()); !strings.Contains(got, c.want) {
						t.Errorf("panic %q, want one about %q", got, c.want)
					}
				}()
				var p Pair
				p.Reset()
				c.do(&p)
			})
		}
	})
}

func TestPairAllocatesNothing(t *testing.T) {
	ways(t, func(t *testing.T) {
		a, b := make([]byte, 1000), make([]byte, 1000)
		var p Pair
		p.Reset()
		if n := testing.AllocsPerRun(10, func() {
			p.Reset()
			p.Write(a, b)
			p.Sum()
		}); n != 0 {
			t.Errorf("%v allocations a pair", n)
		}
	})
}

func FuzzPair(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte("abcabd"), uint8(1))
	f.Add(message(random(3), 1001), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		n := len(data) / 2
		var p Pair
		check(t, &p, data[:n], data[len(data)-n:], func() int { return int(step) + 1 })
	})
}

// sizes are those of a block and of a common piece.
var sizes = []int{16 << 10, 1 << 20}

func BenchmarkPair(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			x, y := message(random(4), n), message(random(5), n)
			b.SetBytes(2 * int64(n))
			var p Pair
			for b.Loop() {
				p.Reset()
				p.Write(x, y)
				p.Sum()
			}
		})
	}
}

// BenchmarkSingle hashes as much as BenchmarkPair, one after the other.
func BenchmarkSingle(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			x, y := message(random(4), n), message(random(5), n)
			b.SetBytes(2 * int64(n))
			for b.Loop() {
				_ = sha1.Sum(x)
				_ = sha1.Sum(y)
			}
		})
	}
}
