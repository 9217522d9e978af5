package sha1pair

// fast says whether blocks can run: it needs the SHA extensions, and PSHUFB of
// SSSE3. They are looked up here because golang.org/x/sys/cpu does not tell of
// SHA on this architecture.
var fast = hasSHA()

// Where CPUID tells of them (Intel, Software Developer's Manual, volume 2A,
// "CPUID").
const (
	featureLeaf  = 1
	ssse3        = 1 << 9 // In ECX.
	extendedLeaf = 7
	sha          = 1 << 29 // In EBX.
)

func hasSHA() bool {
	last, _, _, _ := cpuid(0, 0)
	if last < extendedLeaf {
		return false
	}
	_, _, features, _ := cpuid(featureLeaf, 0)
	_, extended, _, _ := cpuid(extendedLeaf, 0)
	return features&ssse3 != 0 && extended&sha != 0
}

// cpuid asks the processor about itself.
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// blocks takes a into the first lane and b into the second. Their length must
// be the same, and a multiple of blockSize. It needs what fast says.
//
//go:noescape
func blocks(lanes *[2]lane, a, b []byte)
