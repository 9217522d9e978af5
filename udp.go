package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/torrent-operator/torrent-operator/internal/engine"
)

// udpFlags are the flags about what engines speak over UDP, of the operator and
// of the workers that it hands them on to.
type udpFlags struct {
	dht, utp  bool
	bootstrap []string
}

func (f *udpFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.dht, "dht", false, "find peers in the DHT too, where spec.discovery.dht allows it: it tells strangers which torrents are wanted here, but never of private ones")
	fs.StringSliceVar(&f.bootstrap, "dht-bootstrap", engine.PublicDHT, "host:port of nodes by which to get into the DHT, instead of the well-known ones")
	fs.BoolVar(&f.utp, "utp", false, "take and dial peers over uTP (UDP) too, which gives way to other traffic; where TCP works it is preferred")
}

// check refuses what is no host and port.
func (f *udpFlags) check() error {
	for _, n := range f.bootstrap {
		host, port, err := net.SplitHostPort(n)
		if number, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || number == 0 {
			return fmt.Errorf("--dht-bootstrap: %q is not host:port, such as dht.example.org:6881", n)
		}
	}
	return nil
}

// node is how an engine in the cluster takes part in the DHT; nil is not at all.
// Nobody outside can ask it anything, as a rule, and what it learns is not kept.
func (f *udpFlags) node() *engine.DHT {
	if !f.dht {
		return nil
	}
	return &engine.DHT{Bootstrap: f.bootstrap, ReadOnly: true}
}

// args hands the flags on to a worker.
func (f *udpFlags) args() (args []string) {
	if f.utp {
		args = append(args, "--utp")
	}
	if f.dht {
		args = append(args, "--dht")
		for _, n := range f.bootstrap {
			args = append(args, "--dht-bootstrap="+n)
		}
	}
	return args
}
