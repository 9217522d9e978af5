package nodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/utils/ptr"
)

// names is the name server of a cluster: it knows IPv4 addresses of Services,
// and of the Pods behind those that are headless, over UDP.
type names struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

const (
	// domain is what names of Services end with.
	domain = ".svc.cluster.local."
	// namesTTL is how many seconds an answer holds.
	namesTTL = 1
	// maxQuery is more than any query has, in bytes.
	maxQuery = 4096
)

// startNames answers queries until alive ends.
func (c *Cluster) startNames(ctx, alive context.Context) error {
	watched := informers.NewSharedInformerFactory(c.client, 0)
	n := names{services: watched.Core().V1().Services().Lister(), slices: watched.Discovery().V1().EndpointSlices().Lister()}
	c.watch(alive, watched)
	for kind, synced := range watched.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("the name server did not learn of any %v: %w", kind, ctx.Err())
		}
	}
	var socket *net.UDPConn
	if err := c.network.Do(func() (err error) {
		socket, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(planeAddr, 53)))
		return err
	}); err != nil {
		return fmt.Errorf("starting the name server: %w", err)
	}
	context.AfterFunc(alive, func() { socket.Close() })
	c.running.Go(func() { n.serve(socket) })
	return nil
}

func (n names) serve(socket *net.UDPConn) {
	query := make([]byte, maxQuery)
	for {
		size, from, err := socket.ReadFromUDPAddrPort(query)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // about a packet that was sent before
		}
		if answer, err := n.answer(query[:size]); err == nil {
			_, _ = socket.WriteToUDPAddrPort(answer, from) // Who gets nothing asks again.
		}
	}
}

// answer answers a query in the format of RFC 1035.
func (n names) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := p.Question()
	if err != nil {
		return nil, err
	}
	addrs, known := n.lookup(question.Name.String())
	header = dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired}
	if !known {
		header.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, header)
	b.EnableCompression()
	if err := errors.Join(b.StartQuestions(), b.Question(question), b.StartAnswers()); err != nil {
		return nil, err
	}
	if question.Type == dnsmessage.TypeA {
		for _, addr := range addrs {
			if err := b.AResource(dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: namesTTL},
				dnsmessage.AResource{A: addr.As4()}); err != nil {
				return nil, err
			}
		}
	}
	return b.Finish()
}

// lookup finds "service.namespace" and, for a headless one,
// "host.service.namespace", each with the domain.
func (n names) lookup(name string) (addrs []netip.Addr, known bool) {
	short, ok := strings.CutSuffix(strings.ToLower(name), domain)
	parts := strings.Split(short, ".")
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	host, parts := parts[:len(parts)-2], parts[len(parts)-2:]
	service, err := n.services.Services(parts[1]).Get(parts[0])
	if err != nil {
		return nil, false
	}
	if service.Spec.ClusterIP != corev1.ClusterIPNone {
		addr, err := netip.ParseAddr(service.Spec.ClusterIP)
		return []netip.Addr{addr}, err == nil && len(host) == 0
	}
	slices, err := n.slices.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
	if err != nil {
		return nil, false
	}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if !ptr.Deref(endpoint.Conditions.Ready, true) || len(host) > 0 && ptr.Deref(endpoint.Hostname, "") != host[0] {
				continue
			}
			for _, text := range endpoint.Addresses {
				if addr, err := netip.ParseAddr(text); err == nil && addr.Is4() {
					addrs = append(addrs, addr)
				}
			}
		}
	}
	return addrs, len(host) == 0 || len(addrs) > 0
}
