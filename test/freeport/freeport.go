// Package freeport hands out the numbers of free ports to tests and benchmarks
// whose programs have to be told one.
package freeport

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Ports lie from first on and before end: below those that the kernel gives
// to outgoing connections (from 32768 on, ip(7)), so that nobody comes by one
// by chance.
const first, end = 10000, 30000

// next is where the search goes on. Processes begin far from each other.
var (
	mu   sync.Mutex
	next = first + os.Getpid()*37%(end-first)
)

// For is [Find] for a test, which ends if there is none.
func For(t testing.TB) int {
	t.Helper()
	port, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Find returns a port at which nobody listens, on any address, over TCP or
// UDP. It doesn't return the same port again before all others.
func Find(ctx context.Context) (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range end - first {
		port := next
		if next++; next == end {
			next = first
		}
		if isFree(ctx, port) {
			return port, nil
		}
	}
	return 0, errors.New("no port is free between " + strconv.Itoa(first) + " and " + strconv.Itoa(end))
}

func isFree(ctx context.Context, port int) bool {
	var config net.ListenConfig
	everywhere := ":" + strconv.Itoa(port)
	l, err := config.Listen(ctx, "tcp", everywhere)
	if err != nil {
		return false
	}
	defer l.Close()
	u, err := config.ListenPacket(ctx, "udp", everywhere)
	if err != nil {
		return false
	}
	u.Close()
	return true
}
