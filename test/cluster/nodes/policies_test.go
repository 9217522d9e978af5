package nodes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

// known are policies about Pods, and about these policies.
func known(t *testing.T, objects ...any) *policies {
	t.Helper()
	store := func() cache.Indexer {
		return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	}
	pods, namespaces, all := store(), store(), store()
	for _, o := range objects {
		at := pods
		switch o.(type) {
		case *corev1.Namespace:
			at = namespaces
		case *networkingv1.NetworkPolicy:
			at = all
		}
		if err := at.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return &policies{
		pods: corelisters.NewPodLister(pods), namespaces: corelisters.NewNamespaceLister(namespaces), all: networkinglisters.NewNetworkPolicyLister(all),
	}
}

func podAt(ip, namespace, app string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}},
		Status:     corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning},
	}
}

func namespaceOf(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}}
}

func policy(t *testing.T, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: "it"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRulesSayWhatANetworkPolicySays(t *testing.T) {
	ended := podAt("10.244.1.9", "one", "ended")
	ended.Status.Phase = corev1.PodSucceeded
	world := []any{
		namespaceOf("one"), namespaceOf("two"), ended,
		podAt("10.244.1.2", "one", "a"), podAt("10.244.1.3", "one", "b"), podAt("10.244.2.2", "two", "a"),
	}
	for name, c := range map[string]struct{ spec, want string }{
		"deny all": {
			`{podSelector: {}, policyTypes: [Ingress, Egress]}`,
			"to_10.244.1.2: drop; from_10.244.1.2: drop; to_10.244.1.3: drop; from_10.244.1.3: drop",
		},
		"some Pods, one direction": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}`,
			"to_10.244.1.3: drop",
		},
		"everything, said aloud": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Egress], egress: [{}]}`,
			"from_10.244.1.3: return, drop",
		},
		"ports alone": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}, {port: 80, endPort: 90}, {protocol: TCP}]}]}`,
			"from_10.244.1.3: udp dport 53 return, tcp dport 80-90 return, meta l4proto tcp return, drop",
		},
		"a port by its name is not known, and opens nothing": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{ports: [{port: peers}]}]}`,
			"to_10.244.1.3: drop",
		},
		"Pods of the same namespace": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}`,
			"to_10.244.1.3: ip saddr 10.244.1.2 return, drop",
		},
		"Pods of another namespace, at a port": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {name: two}}, podSelector: {matchLabels: {app: a}}}], ports: [{port: 9443}]}]}`,
			"from_10.244.1.3: ip daddr 10.244.2.2 tcp dport 9443 return, drop",
		},
		"all of some namespaces": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}]}]}`,
			"to_10.244.1.3: ip saddr 10.244.1.2 return, ip saddr 10.244.1.3 return, ip saddr 10.244.2.2 return, drop",
		},
		"nobody there is nobody, not all": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}]}`,
			"to_10.244.1.3: drop",
		},
		"addresses": {
			`{podSelector: {matchLabels: {app: b}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.168.0.0/16]}}]}]}`,
			"from_10.244.1.3: ip daddr 0.0.0.0/0 ip daddr != { 10.0.0.0/8, 192.168.0.0/16 } return, drop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := known(t, append(world, policy(t, c.spec))...).rules()
			if err != nil {
				t.Fatal(err)
			}
			if got := brief(rules); got != c.want {
				t.Errorf("the rules are\n%s\nwant\n%s\nof\n%s", got, c.want, rules)
			}
		})
	}
	if rules, err := known(t, world...).rules(); rules != "" || err != nil {
		t.Errorf("without a policy the rules are %q, %v", rules, err)
	}
}

// brief are the rules of each Pod's chains, those that can be reached.
func brief(rules string) string {
	var out []string
	for chain := range strings.SplitSeq(rules, "chain ") {
		name, body, _ := strings.Cut(chain, " {\n")
		if strings.Contains(name, "_") && strings.Contains(rules, " jump "+name+"\n") {
			body, _, _ = strings.Cut(body, "\n}")
			out = append(out, name+": "+strings.ReplaceAll(body, "\n", ", "))
		}
	}
	return strings.Join(out, "; ")
}
