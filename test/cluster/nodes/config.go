package nodes

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/torrent-operator/torrent-operator/test/cluster/machine"
)

// proxyUser is whom kube-proxy is; Kubernetes has a role for it.
const proxyUser = "system:kube-proxy"

// writeConfig writes what the node's programs read.
func (n *Node) writeConfig() error {
	if err := n.cluster.WriteUserKubeconfig(n.config("kubelet.kubeconfig"), n.user()); err != nil {
		return err
	}
	if err := n.cluster.WriteUserKubeconfig(n.config("kube-proxy.kubeconfig"), proxyUser); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"cni/nodes.conflist": fmt.Sprintf(networkConfig, podSubnet(n.number), n.file("lib/cni")),
		"containerd.toml":    fmt.Sprintf(containerdConfig, n.socket(), n.cluster.tools.runtimes, n.config("cni"), pauseImage),
		"kubelet.yaml":       fmt.Sprintf(kubeletConfig, n.socket(), planeAddr),
		"kube-proxy.yaml":    fmt.Sprintf(proxyConfig, n.config("kube-proxy.kubeconfig"), podNet),
	} {
		if err := os.WriteFile(n.config(name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// networkConfig takes the subnet of the node's Pods, and a folder for what is
// to be remembered. Pods reach each other through their node alone, which
// answers for all of them, so that its rules hold between them too.
const networkConfig = `{"cniVersion": "1.0.0", "name": "nodes", "plugins": [{
  "type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true, "portIsolation": true,
  "ipam": {"type": "host-local", "dataDir": "%[2]s", "ranges": [[{"subnet": "%[1]s"}]], "routes": [{"dst": "0.0.0.0/0"}]}
}]}
`

// containerdConfig takes the path of the socket, the folders of programs and of
// the network's configuration, and the image that holds Pods together. Without
// CAP_SYS_RESOURCE, which containers seldom have, no process may be made less
// likely to be killed than its parent.
const containerdConfig = `version = 3
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.nri.v1.nri",
]
[plugins.'io.containerd.server.v1.grpc']
  address = '%[1]s'
[plugins.'io.containerd.cri.v1.images']
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '%[4]s'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['%[2]s']
    conf_dir = '%[3]s'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = '%[2]s/runc'
    SystemdCgroup = false
`

// kubeletConfig takes the path of containerd's socket and the address of the
// name server. The kubelet trusts everybody in this network. It tells that it
// lives every two seconds, so that its end is seen soon. What counts as too
// little memory or disk is small, because both are those of the whole machine.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://%[1]s
clusterDNS: ["%[2]s"]
clusterDomain: cluster.local
resolvConf: ""
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
nodeLeaseDurationSeconds: 8
nodeStatusUpdateFrequency: 4s
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: "100Mi", nodefs.available: "1%%", imagefs.available: "1%%", nodefs.inodesFree: "1%%"}
shutdownGracePeriod: 0s
`

// proxyConfig takes the path of a kubeconfig and the addresses of all Pods. In
// a network namespace the limits of connection tracking cannot be set.
const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: "%[1]s"}
clusterCIDR: "%[2]s"
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
metricsBindAddress: 127.0.0.1:10249
healthzBindAddress: 127.0.0.1:10256
`

// machine is what the node's first process has to do.
func (n *Node) machine() machine.Config {
	bind := func(from, to string) machine.Mount {
		return machine.Mount{Source: filepath.Join(n.dir, from), Target: to, Flags: unix.MS_BIND}
	}
	c := machine.Config{Hostname: n.Name, Cgroup2: n.groups.v2}
	c.Mounts = append(c.Mounts, machine.Mount{Type: "proc", Source: "proc", Target: "/proc"},
		machine.Mount{Type: "sysfs", Source: "sysfs", Target: "/sys"})
	c.Mounts = append(c.Mounts, n.groups.mounts...)
	c.Mounts = append(c.Mounts, machine.Mount{Type: "tmpfs", Source: "run", Target: "/run", Data: "mode=755"},
		bind("lib", "/var/lib"), bind("var-log", "/var/log"))
	c.Mounts = append(c.Mounts, n.disks...)
	path := []string{"PATH=" + n.cluster.tools.runtimes + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	service := func(name, folder string, args ...string) machine.Service {
		return machine.Service{Name: name, Args: append([]string{filepath.Join(folder, name)}, args...), Env: path, Log: n.log(name)}
	}
	c.Services = []machine.Service{
		service("containerd", n.cluster.tools.runtimes, "--config="+n.config("containerd.toml")),
		service(machine.Kubelet, n.cluster.tools.kubernetes, "--config="+n.config("kubelet.yaml"),
			"--kubeconfig="+n.config("kubelet.kubeconfig"), "--node-ip="+n.addr.String(), "--hostname-override="+n.Name),
		service("kube-proxy", n.cluster.tools.kubernetes, "--config="+n.config("kube-proxy.yaml"), "--hostname-override="+n.Name),
	}
	return c
}
