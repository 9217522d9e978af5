package main

import (
	"os"
	"runtime/debug"
)

// mostAssembly is the memory in bytes that pieces are put together in where
// nothing bounds the container.
const mostAssembly = 64 << 20

// workerMemory shares the memory of a worker's container out, in bytes; 0 is
// without bound. A quarter is for pieces in assembly; see heapLimit for the
// rest.
func workerMemory(limit int64) (assembly, heap int64) {
	if limit == 0 {
		return mostAssembly, 0
	}
	assembly = min(max(leastAssembly, limit/4), mostAssembly)
	return assembly, heapLimit(limit, assembly)
}

// heapLimit is what Go may have of the memory of a container, in bytes; 0 is
// without bound. Pieces in assembly lie outside of it. A quarter is left to the
// kernel, for what was written and is not durable yet (an eighth, by package
// disk), for sockets and for the program itself.
func heapLimit(limit, assembly int64) int64 {
	if limit == 0 {
		return 0
	}
	return max(limit/4, limit-assembly-limit/4)
}

// limitHeap has Go collect its garbage in time to stay below a number of bytes,
// unless GOMEMLIMIT says something else; 0 leaves it alone.
func limitHeap(bytes int64) {
	if bytes > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
