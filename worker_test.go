package main

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/engine/transport"
)

// What gives credentials to whoever asks from a node is denied; what else may
// be reached is for NetworkPolicies to say.
func TestAWorkerReachesNoMetadataService(t *testing.T) {
	deny, err := prefixes("--deny-cidrs", workerDenies)
	if err != nil {
		t.Fatal(err)
	}
	guard := &transport.Guard{Deny: deny}
	for _, a := range []string{"169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "127.0.0.1", "::1", "0.0.0.0", "fe80::1"} {
		if guard.Check(netip.MustParseAddr(a)) == nil {
			t.Errorf("%s can be reached", a)
		}
	}
	for _, a := range []string{"10.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "192.0.2.1"} {
		if err := guard.Check(netip.MustParseAddr(a)); err != nil {
			t.Error(err)
		}
	}
}

func TestAWorkerIsAsSmallAsItsContainer(t *testing.T) {
	const mib = 1 << 20
	for limit, want := range map[int64][2]int64{ // Assembly and heap.
		0: {64 * mib, 0}, 1 * mib: {1 * mib, mib / 4}, 64 * mib: {16 * mib, 32 * mib}, 128 * mib: {32 * mib, 64 * mib},
		256 * mib: {64 * mib, 128 * mib}, 1024 * mib: {64 * mib, 704 * mib},
	} {
		if assembly, heap := workerMemory(limit); assembly != want[0] || heap != want[1] {
			t.Errorf("%d MiB: %d for assembly and %d for the heap, want %v", limit/mib, assembly, heap, want)
		}
	}
}

// What an administrator denies is denied besides the rest, and what is allowed
// nevertheless can be reached.
func TestWorkersAreToldWhereTheyMayConnect(t *testing.T) {
	var none podFlags
	if args := none.args(); args != nil {
		t.Errorf("without flags they are told %q", args)
	}
	f := podFlags{deny: []string{"10.0.0.0/8"}, allow: []string{"10.1.0.0/16", "fd00::/8"}}
	cmd := workerCommand()
	if err := cmd.ParseFlags(f.args()); err != nil {
		t.Fatal(err)
	}
	deny, _ := cmd.Flags().GetStringSlice("deny-cidrs")
	allow, _ := cmd.Flags().GetStringSlice("allow-cidrs")
	guard, err := newGuard(deny, allow)
	if err != nil {
		t.Fatal(err)
	}
	for address, reached := range map[string]bool{
		"10.0.0.1": false, "169.254.169.254": false, "127.0.0.1": false, "10.1.0.1": true, "192.0.2.1": true,
	} {
		if err := guard.Check(netip.MustParseAddr(address)); (err == nil) != reached {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The caches grow with the number of downloads: garbage is collected before the
// kernel ends the process.
func TestTheManagerIsAsLargeAsItsContainer(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ limit, assembly, want int64 }{
		{0, 0, 0}, {0, 64 * mib, 0}, {512 * mib, 0, 384 * mib}, {512 * mib, 64 * mib, 320 * mib}, {64 * mib, 64 * mib, 16 * mib},
	} {
		if got := heapLimit(c.limit, c.assembly); got != c.want {
			t.Errorf("%d MiB, of which %d for assembly: %d for the heap, want %d", c.limit/mib, c.assembly/mib, got, c.want)
		}
	}
}

func TestFlagsOfTheWorkerThatMakeNoSense(t *testing.T) {
	for _, flag := range []string{"--log-level=loud", "--log-format=xml"} {
		cmd := workerCommand()
		cmd.SetArgs([]string{flag})
		cmd.SetErr(io.Discard)
		cmd.SilenceUsage = true
		name, _, _ := strings.Cut(flag, "=")
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
