package nodes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// policies has NetworkPolicies hold for what Pods send to each other and out of
// their node, by rules for nft(8) that are the same on all nodes. It knows IPv4,
// TCP and UDP, and ports by their numbers. What goes between a Pod and its own
// node is let through, as Kubernetes wants it; what was connected before stays.
// A Pod is held as soon as its address is known, which is a moment after it
// begins.
type policies struct {
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	all        networkinglisters.NetworkPolicyLister

	mu     sync.Mutex
	nodes  map[*Node]*cluster.Namespace // those that run
	latest string                       // rules
}

// noRules takes back whatever rules there were.
const noRules = "table inet policies\ndelete table inet policies\n"

// startPolicies has NetworkPolicies hold until alive ends.
func (c *Cluster) startPolicies(ctx, alive context.Context) error {
	watched := informers.NewSharedInformerFactory(c.client, 0)
	p := &c.policies
	p.pods, p.namespaces = watched.Core().V1().Pods().Lister(), watched.Core().V1().Namespaces().Lister()
	p.all = watched.Networking().V1().NetworkPolicies().Lister()
	changed := make(chan struct{}, 1)
	wake := func(any) {
		select {
		case changed <- struct{}{}:
		default: // It is about to look anyway.
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		watched.Core().V1().Pods().Informer(), watched.Core().V1().Namespaces().Informer(), watched.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: wake, UpdateFunc: func(_, now any) { wake(now) }, DeleteFunc: wake,
		}); err != nil {
			return err
		}
	}
	c.watch(alive, watched)
	for kind, synced := range watched.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("what NetworkPolicies are about is not known: no %v: %w", kind, ctx.Err())
		}
	}
	c.running.Go(func() {
		for {
			select {
			case <-alive.Done():
				return
			case <-changed:
			}
			if err := p.renew(); err != nil && alive.Err() == nil {
				fmt.Fprintln(os.Stderr, "network policies of the test cluster:", err)
			}
		}
	})
	return nil
}

// join has the policies hold on a node that has just begun, and closes its
// namespace when the node leaves.
func (p *policies) join(n *Node, namespace *cluster.Namespace) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nodes == nil {
		p.nodes = map[*Node]*cluster.Namespace{}
	}
	p.nodes[n] = namespace
	return apply(namespace, p.latest)
}

// leave forgets a node that has ended.
func (p *policies) leave(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if namespace := p.nodes[n]; namespace != nil {
		namespace.Close()
		delete(p.nodes, n)
	}
}

// renew gives all nodes the rules that follow from what there is now.
func (p *policies) renew() error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if rules == p.latest {
		return nil
	}
	p.latest = rules
	for n, namespace := range p.nodes {
		if e := apply(namespace, rules); e != nil {
			err = errors.Join(err, fmt.Errorf("node %s: %w", n.Name, e))
		}
	}
	return err
}

// apply replaces the rules in the network of a node.
func apply(namespace *cluster.Namespace, rules string) error {
	return namespace.Do(func() error {
		cmd := exec.Command("nft", "-f", "-") //nolint:noctx // it ends at once
		cmd.Stdin = strings.NewReader(noRules + rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s\n%s", err, out, rules)
		}
		return nil
	})
}

// rules are those of nft for all Pods that a policy is about; "" without any.
func (p *policies) rules() (string, error) {
	all, err := p.all.List(labels.Everything())
	if err != nil || len(all) == 0 {
		return "", err
	}
	pods, err := p.pods.List(labels.Everything())
	if err != nil {
		return "", err
	}
	pods = slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool {
		return pod.Status.PodIP == "" || pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	slices.SortFunc(all, func(a, b *networkingv1.NetworkPolicy) int { return strings.Compare(string(a.UID), string(b.UID)) })
	var chains, jumps strings.Builder
	for _, pod := range pods {
		in, held := p.ingress(pod, pods, all)
		if held {
			fmt.Fprintf(&chains, "chain to_%[1]s {\n%[2]sdrop\n}\n", pod.Status.PodIP, in)
			fmt.Fprintf(&jumps, "ip daddr %[1]s jump to_%[1]s\n", pod.Status.PodIP)
		}
		out, held := p.egress(pod, pods, all)
		if held {
			fmt.Fprintf(&chains, "chain from_%[1]s {\n%[2]sdrop\n}\n", pod.Status.PodIP, out)
			fmt.Fprintf(&jumps, "ip saddr %[1]s jump from_%[1]s\n", pod.Status.PodIP)
		}
	}
	return fmt.Sprintf(`table inet policies {
%schain forward {
type filter hook forward priority filter + 10; policy accept;
ct state established,related accept
%s}
}
`, chains.String(), jumps.String()), nil
}

// ingress are the rules for what a Pod may be sent, and whether any policy is
// about that.
func (p *policies) ingress(pod *corev1.Pod, pods []*corev1.Pod, all []*networkingv1.NetworkPolicy) (rules string, held bool) {
	for _, policy := range all {
		if !about(policy, pod, networkingv1.PolicyTypeIngress) {
			continue
		}
		held = true
		for _, rule := range policy.Spec.Ingress {
			rules += p.allow("saddr", policy.Namespace, rule.From, rule.Ports, pods)
		}
	}
	return rules, held
}

// egress is ingress for what a Pod may send.
func (p *policies) egress(pod *corev1.Pod, pods []*corev1.Pod, all []*networkingv1.NetworkPolicy) (rules string, held bool) {
	for _, policy := range all {
		if !about(policy, pod, networkingv1.PolicyTypeEgress) {
			continue
		}
		held = true
		for _, rule := range policy.Spec.Egress {
			rules += p.allow("daddr", policy.Namespace, rule.To, rule.Ports, pods)
		}
	}
	return rules, held
}

// about says whether a policy is about what a Pod gets, or about what it sends.
func about(policy *networkingv1.NetworkPolicy, pod *corev1.Pod, direction networkingv1.PolicyType) bool {
	return policy.Namespace == pod.Namespace && selects(&policy.Spec.PodSelector, pod.Labels) && slices.Contains(policy.Spec.PolicyTypes, direction)
}

func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(of))
}

// allow lets through what comes from, or goes to, any of the peers at any of
// the ports. None of either are all.
func (p *policies) allow(side, namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, pods []*corev1.Pod) string {
	var addresses, out strings.Builder
	for _, peer := range peers {
		if block := peer.IPBlock; block != nil {
			fmt.Fprintf(&addresses, "ip %s %s", side, block.CIDR)
			if len(block.Except) > 0 {
				fmt.Fprintf(&addresses, " ip %s != { %s }", side, strings.Join(block.Except, ", "))
			}
			addresses.WriteString("\n")
			continue
		}
		for _, pod := range pods {
			if p.meant(peer, namespace, pod) {
				fmt.Fprintf(&addresses, "ip %s %s\n", side, pod.Status.PodIP)
			}
		}
	}
	if len(peers) == 0 {
		addresses.WriteString("\n")
	}
	for address := range strings.Lines(addresses.String()) {
		address = strings.TrimSpace(address)
		for _, port := range ports {
			if port.Port != nil && port.Port.IntValue() == 0 {
				continue // by its name, which is not known here
			}
			fmt.Fprintln(&out, strings.TrimSpace(address+" "+match(port)), "return")
		}
		if len(ports) == 0 {
			fmt.Fprintln(&out, strings.TrimSpace(address+" return"))
		}
	}
	return out.String()
}

// match is what nft says of a port.
func match(port networkingv1.NetworkPolicyPort) string {
	protocol := strings.ToLower(string(ptr.Deref(port.Protocol, corev1.ProtocolTCP)))
	switch {
	case port.Port == nil:
		return "meta l4proto " + protocol
	case port.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d", protocol, port.Port.IntValue(), *port.EndPort)
	}
	return fmt.Sprintf("%s dport %d", protocol, port.Port.IntValue())
}

// meant says whether a policy of a namespace means a Pod by a peer.
func (p *policies) meant(peer networkingv1.NetworkPolicyPeer, namespace string, pod *corev1.Pod) bool {
	if peer.PodSelector != nil && !selects(peer.PodSelector, pod.Labels) {
		return false
	}
	if peer.NamespaceSelector == nil {
		return pod.Namespace == namespace
	}
	ns, err := p.namespaces.Get(pod.Namespace)
	return err == nil && selects(peer.NamespaceSelector, ns.Labels)
}
