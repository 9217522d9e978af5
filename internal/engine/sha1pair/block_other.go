//go:build !amd64

package sha1pair

// fast is false where nobody has written blocks.
var fast = false

// blocks is never called, as fast is false.
func blocks(*[2]lane, []byte, []byte) {
	panic("sha1pair: no pairs on this architecture; is fast set?")
}
