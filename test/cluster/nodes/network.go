package nodes

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// The addresses. Each cluster has namespaces of its own, without a way out, so
// all of them use the same.
var (
	nodeNet    = netip.MustParsePrefix("10.199.0.0/24")
	planeAddr  = netip.MustParseAddr("10.199.0.1") // API server and name server
	podNet     = netip.MustParsePrefix("10.244.0.0/16")
	serviceNet = netip.MustParsePrefix("10.96.0.0/16")
)

// bridge joins the nodes, in the namespace of the control plane.
const bridge = "nodes"

// nodeAddr is the address of node number i, from 1.
func nodeAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 199, 0, byte(10 + i)}) }

// podSubnet holds the addresses of the Pods of node number i.
func podSubnet(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24)
}

// newNetwork makes the namespace of the control plane.
func newNetwork() (*cluster.Namespace, error) {
	n, err := cluster.NewNamespace()
	if err != nil {
		return nil, err
	}
	err = configure(n,
		"link set lo up",
		fmt.Sprintf("link add %s type bridge", bridge),
		fmt.Sprintf("address add %s/%d dev %s", planeAddr, nodeNet.Bits(), bridge),
		fmt.Sprintf("link set %s up", bridge),
	)
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// join connects the namespace of a node with that of the control plane by a
// device, whose name must not have been used, and tells each where the Pods
// of the other nodes are.
func (n *Node) join(namespace *cluster.Namespace, device string) error {
	commands := []string{
		"link set lo up",
		fmt.Sprintf("link add eth0 type veth peer name %s netns %s", device, n.cluster.network.Path()),
		fmt.Sprintf("address add %s/%d dev eth0", n.addr, nodeNet.Bits()),
		"link set eth0 up",
		fmt.Sprintf("route add default via %s", planeAddr),
	}
	for _, other := range n.cluster.Nodes {
		if other != n {
			commands = append(commands, fmt.Sprintf("route add %s via %s", podSubnet(other.number), other.addr))
		}
	}
	if err := configure(namespace, commands...); err != nil {
		return err
	}
	if err := answerForPods(namespace); err != nil {
		return err
	}
	return configure(n.cluster.network,
		fmt.Sprintf("link set %s master %s up", device, bridge),
		fmt.Sprintf("route replace %s via %s", podSubnet(n.number), n.addr),
	)
}

// answerForPods has a node answer, on the bridge that its Pods will be at, for
// Pods that are at the same bridge, and pass on what is sent to them. Nobody is
// told of a shorter way, and the bridge, where the kernel has it look at IP
// addresses, takes none.
func answerForPods(namespace *cluster.Namespace) error {
	return namespace.Do(func() error {
		const settings = "/proc/sys/net/ipv4/conf/"
		shorter := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0)
		if errors.Is(shorter, fs.ErrNotExist) {
			shorter = nil
		}
		return errors.Join(
			shorter,
			os.WriteFile(settings+"default/proxy_arp_pvlan", []byte("1"), 0),
			os.WriteFile(settings+"default/send_redirects", []byte("0"), 0),
			os.WriteFile(settings+"all/send_redirects", []byte("0"), 0),
		)
	})
}

// configure gives commands to ip(8) in a namespace, which then forwards
// packets.
func configure(n *cluster.Namespace, commands ...string) error {
	return n.Do(func() error {
		cmd := exec.Command("ip", "-batch", "-") //nolint:noctx // it ends at once
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, out)
		}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
}
