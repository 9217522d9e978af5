package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/idna"
)

// proxies says which requests go through which proxy, and which hosts a proxy
// may be asked for.
type proxies struct {
	of     func(*url.URL) (*url.URL, error) // nil is none: the request goes directly.
	guard  *Guard
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu       sync.Mutex
	verdicts map[string]verdict // By name.
}

// verdict is what the guard says of a name, until when that holds.
type verdict struct {
	err   error
	until time.Time
}

// fromEnvironment reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or
// not. An error names no value, which may hold a password.
func fromEnvironment(g *Guard) (*proxies, error) {
	env := httpproxy.FromEnvironment()
	for name, value := range map[string]string{"HTTP_PROXY": env.HTTPProxy, "HTTPS_PROXY": env.HTTPSProxy} {
		if value != "" && !isProxy(value) {
			return nil, fmt.Errorf("the environment variable %s is not the address of a proxy, such as http://proxy.example.org:3128: correct or unset it", name)
		}
	}
	return &proxies{
		of: env.ProxyFunc(), guard: g, lookup: net.DefaultResolver.LookupNetIP, verdicts: map[string]verdict{},
	}, nil
}

// isProxy says whether net/http can use a value as a proxy. It would ignore
// one that it can't.
func isProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// check returns nil if a proxy may be asked for a host, and otherwise why not.
// There are spellings of addresses that proxies read and this process does not,
// such as 0x7f.1; they are refused.
func (p *proxies) check(ctx context.Context, host string) error {
	if p.guard == nil {
		return nil
	}
	name, err := idna.Lookup.ToASCII(host) // As net/http writes it to the proxy.
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if a, err := netip.ParseAddr(name); err == nil {
		return p.guard.Check(a)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	hex, isHex := strings.CutPrefix(last, "0x")
	switch {
	case strings.Trim(last, "0123456789") == "", isHex && strings.Trim(hex, "0123456789abcdef") == "":
		return fmt.Errorf("a proxy is not asked for a host whose name ends in a number, %q: it may be an address in disguise", last)
	case strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }):
		return errors.New("a proxy is not asked for a host whose name is not valid")
	case last == "localhost":
		return errors.Join(p.guard.Check(netip.IPv6Loopback()), p.guard.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1})))
	}
	return p.checkName(ctx, name)
}

// checkName is check for a name, which is looked up once in a while. A name
// that is known not to exist here may be one that only the proxy knows, and is
// allowed. One of which nothing could be found out is refused for now.
func (p *proxies) checkName(ctx context.Context, name string) error {
	p.mu.Lock()
	v, ok := p.verdicts[name]
	p.mu.Unlock()
	if ok && time.Now().Before(v.until) {
		return v.err
	}
	short, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := p.lookup(short, "ip", name)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var dns *net.DNSError
	if err != nil && (!errors.As(err, &dns) || !dns.IsNotFound) {
		return fmt.Errorf("a proxy is asked for a host only when it is known where its name leads: "+
			"let DNS here tell its addresses, or that there are none: %w", err)
	}
	v = verdict{until: time.Now().Add(nameLife)}
	for _, a := range addrs {
		if v.err = p.guard.Check(a); v.err != nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.verdicts) >= maxNames {
		clear(p.verdicts)
	}
	p.verdicts[name] = v
	return v.err
}
