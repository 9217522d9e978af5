package selection

const (
	maxPatterns = 64  // Patterns of one list.
	maxPattern  = 512 // Bytes of one pattern.

	// maxAlternatives bounds what a file is matched against: the patterns
	// without braces that those of all lists together stand for. It is what
	// lists full of patterns without braces come to.
	maxAlternatives = 4 * maxPatterns

	// patience is for how many files New does not ask whether to go on.
	patience = 64

	// examples is how many files are named to somebody who selected none.
	examples = 5
)
