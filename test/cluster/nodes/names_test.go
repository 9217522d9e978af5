package nodes

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// testNames knows a Service with an address and a headless one with two Pods,
// of which one is ready.
func testNames(t *testing.T) names {
	t.Helper()
	byNamespace := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	services, slices := cache.NewIndexer(cache.MetaNamespaceKeyFunc, byNamespace), cache.NewIndexer(cache.MetaNamespaceKeyFunc, byNamespace)
	for name, ip := range map[string]string{"web": "10.96.0.7", "pods": corev1.ClusterIPNone} {
		if err := services.Add(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := slices.Add(&discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pods-1", Labels: map[string]string{discoveryv1.LabelServiceName: "pods"}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.1.2"}, Hostname: ptr.To("pods-0")},
			{Addresses: []string{"10.244.1.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	return names{services: corelisters.NewServiceLister(services), slices: discoverylisters.NewEndpointSliceLister(slices)}
}

func TestServicesAndThePodsOfHeadlessOnesHaveNames(t *testing.T) {
	n := testNames(t)
	for name, want := range map[string]struct {
		addrs []string
		known bool
	}{
		"web.ns.svc.cluster.local.":         {[]string{"10.96.0.7"}, true},
		"WEB.ns.svc.cluster.local.":         {[]string{"10.96.0.7"}, true},
		"pods.ns.svc.cluster.local.":        {[]string{"10.244.1.2"}, true},
		"pods-0.pods.ns.svc.cluster.local.": {[]string{"10.244.1.2"}, true},
		"pods-1.pods.ns.svc.cluster.local.": {nil, false},
		"x.web.ns.svc.cluster.local.":       {[]string{"10.96.0.7"}, false},
		"web.other.svc.cluster.local.":      {nil, false},
		"web.ns.":                           {nil, false},
		"svc.cluster.local.":                {nil, false},
		"example.org.":                      {nil, false},
	} {
		addrs, known := n.lookup(name)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if known != want.known || known && !cmp.Equal(got, want.addrs) {
			t.Errorf("%s: %v, %v; want %v", name, got, known, want)
		}
	}
}

func TestAnswersAreThoseOfRFC1035(t *testing.T) {
	n := testNames(t)
	ask := func(name string, kind dnsmessage.Type) dnsmessage.Message {
		t.Helper()
		query := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 77, RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
		}
		packed, err := query.Pack()
		if err != nil {
			t.Fatal(err)
		}
		packed, err = n.answer(packed)
		if err != nil {
			t.Fatal(err)
		}
		var answer dnsmessage.Message
		if err := answer.Unpack(packed); err != nil {
			t.Fatal(err)
		}
		if !answer.Response || answer.ID != query.ID || !cmp.Equal(answer.Questions, query.Questions) {
			t.Errorf("the answer is %+v", answer)
		}
		return answer
	}
	a := ask("web.ns.svc.cluster.local.", dnsmessage.TypeA)
	if len(a.Answers) != 1 || *a.Answers[0].Body.(*dnsmessage.AResource) != (dnsmessage.AResource{A: netip.MustParseAddr("10.96.0.7").As4()}) {
		t.Errorf("A: %+v", a)
	}
	if got := ask("web.ns.svc.cluster.local.", dnsmessage.TypeAAAA); got.RCode != dnsmessage.RCodeSuccess || len(got.Answers) != 0 {
		t.Errorf("AAAA of a name that has only A: %+v, want success without an answer", got)
	}
	if got := ask("example.org.", dnsmessage.TypeA); got.RCode != dnsmessage.RCodeNameError {
		t.Errorf("a name that does not exist: %+v", got)
	}
	if _, err := n.answer([]byte("no query")); err == nil {
		t.Error("rubbish was answered")
	}
}
