package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/torrent-operator/torrent-operator/internal/engine"
)

// dhtFlags are the flags about the DHT, of the operator and of the workers that
// it hands them on to.
type dhtFlags struct {
	on        bool
	bootstrap []string
}

func (f *dhtFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.on, "dht", false, "find peers in the DHT too, where spec.discovery.dht allows it: it tells strangers which torrents are wanted here, but never of private ones")
	fs.StringSliceVar(&f.bootstrap, "dht-bootstrap", engine.PublicDHT, "host:port of nodes by which to get into the DHT, instead of the well-known ones")
}

// check refuses what is no host and port.
func (f *dhtFlags) check() error {
	for _, n := range f.bootstrap {
		host, port, err := net.SplitHostPort(n)
		if number, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || number == 0 {
			return fmt.Errorf("--dht-bootstrap: %q is not host:port, such as dht.example.org:6881", n)
		}
	}
	return nil
}

// engine is how an engine in the cluster takes part; nil is not at all. Nobody
// outside can ask it anything, as a rule, and what it learns is not kept.
func (f *dhtFlags) engine() *engine.DHT {
	if !f.on {
		return nil
	}
	return &engine.DHT{Bootstrap: f.bootstrap, ReadOnly: true}
}

// args hands the flags on to a worker.
func (f *dhtFlags) args() (args []string) {
	if f.on {
		args = append(args, "--dht")
		for _, n := range f.bootstrap {
			args = append(args, "--dht-bootstrap="+n)
		}
	}
	return args
}
