// Package machine is what happens inside of a node of a test cluster: its
// first process, which mounts what a node needs, starts kubelet, containerd and
// kube-proxy, and keeps them running. All that it is told comes from package
// nodes, which runs it in namespaces of its own.
package machine

// Config says what a node mounts and runs.
type Config struct {
	Hostname string
	// Mounts are made in this order.
	Mounts []Mount
	// Cgroup2 says that cgroups are of version 2: the node's own root group
	// must be emptied, so that its groups can get controllers.
	Cgroup2  bool
	Services []Service
}

// Mount is one call of mount(2), or, with Image, one of mount(8).
type Mount struct {
	Type, Source, Target, Data string
	Flags                      uintptr
	// Image says that Source is a file that holds a file system.
	Image bool
}

// Service is a process that is started again whenever it ends.
type Service struct {
	Name string
	Args []string
	Env  []string
	Log  string // file
}

// Kubelet is the name of the service that signals are about.
const Kubelet = "kubelet"
