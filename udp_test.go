package main

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"

	"github.com/torrent-operator/torrent-operator/internal/engine"
)

func parsed(t *testing.T, args ...string) (f udpFlags) {
	t.Helper()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestUDPIsOffInTheClusterUnlessItIsAskedFor(t *testing.T) {
	f := parsed(t)
	if f.node() != nil || f.utp || f.args() != nil {
		t.Errorf("without --dht: %+v, workers get %v", f.node(), f.args())
	}
	f = parsed(t, "--dht")
	if d := f.node(); d == nil || !d.ReadOnly || d.File != "" || !slices.Equal(d.Bootstrap, engine.PublicDHT) {
		t.Errorf("with --dht: %+v", d)
	}
}

func TestWorkersSpeakOverUDPAsTheOperatorSays(t *testing.T) {
	f := parsed(t, "--utp", "--dht", "--dht-bootstrap=a:1,b:2", "--dht-bootstrap=[2001:db8::1]:3")
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	w := parsed(t, f.args()...)
	if !w.dht || !w.utp || !slices.Equal(w.bootstrap, []string{"a:1", "b:2", "[2001:db8::1]:3"}) {
		t.Errorf("a worker is told %+v", w)
	}
}

func TestNodesOfTheDHTThatAreNoAddresses(t *testing.T) {
	for _, n := range []string{"a", "a:", ":1", "a:0", "a:65536", "a:b", "2001:db8::1:3"} {
		f := parsed(t, "--dht-bootstrap="+n)
		if f.check() == nil {
			t.Errorf("%q was taken", n)
		}
	}
}
