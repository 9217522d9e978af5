package selection

const (
	maxPatterns     = 64  // Patterns of one list.
	maxPattern      = 512 // Bytes of one pattern.
	maxCombinations = 64  // What the alternatives in braces of one pattern multiply to.

	// examples is how many files are named to somebody who selected none.
	examples = 5
)
