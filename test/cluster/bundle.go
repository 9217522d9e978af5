package cluster

import (
	"fmt"
	"strings"
)

// A bundle is what is built from one Go module below this folder, and cached
// as a whole.
type bundle struct {
	title    string // of what it is, for people
	cost     string // how long that takes, for people
	folder   string // of the module
	module   string // whose version names the bundle
	programs []program
}

// A program says what one call of "go build" makes.
type program struct {
	packages []string
	output   string   // the name of the file; "" for one each, of the packages' names
	links    []string // symbolic links to output
	cgo      bool
	tags     string
	// flags are for the linker. They take the versions of the modules.
	flags func(versions map[string]string) string
}

// kubernetes is etcd and all of Kubernetes in one file, which is faster to
// build than seven, and takes a quarter of the disk.
var kubernetes = bundle{
	title:  "etcd and Kubernetes",
	cost:   "six minutes",
	folder: "kube",
	module: "k8s.io/kubernetes",
	programs: []program{{
		packages: []string{"."},
		output:   "kube",
		links: []string{
			"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy",
			"kube-scheduler", "kubectl", "kubelet",
		},
		flags: func(versions map[string]string) string {
			v := versions["k8s.io/kubernetes"] // v1.36.3
			major, rest, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
			minor, _, _ := strings.Cut(rest, ".")
			const pkg = "k8s.io/component-base/version"
			// kube-apiserver tells clients its version.
			return fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean",
				pkg, v, major, minor)
		},
	}},
}

// runtimes is what the kubelet has others do.
var runtimes = bundle{
	title:  "containerd, runc and network plugins",
	cost:   "two minutes",
	folder: "runtime",
	module: containerd,
	programs: []program{
		{
			packages: []string{
				containerd + "/cmd/containerd", containerd + "/cmd/containerd-shim-runc-v2", containerd + "/cmd/ctr",
				plugins + "/main/bridge", plugins + "/main/loopback", plugins + "/ipam/host-local",
			},
			flags: func(versions map[string]string) string {
				return "-s -w -X " + containerd + "/version.Version=" + versions[containerd]
			},
		},
		{
			packages: []string{runc},
			output:   "runc",
			cgo:      true, // it is C where it enters namespaces, and for libseccomp
			tags:     "seccomp",
			flags: func(versions map[string]string) string {
				return "-s -w -X main.version=" + strings.TrimPrefix(versions[runc], "v")
			},
		},
	},
}

const (
	containerd = "github.com/containerd/containerd/v2"
	plugins    = "github.com/containernetworking/plugins/plugins"
	runc       = "github.com/opencontainers/runc"
)
