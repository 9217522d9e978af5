package dashboard

import (
	"context"
	"fmt"
	"net"
)

// ServeLocal serves the dashboard of one person on their own machine until ctx
// ends: at an address that only this machine reaches, "" for any port of it.
// told is called with the address to open, once it can be.
func ServeLocal(ctx context.Context, o Options, at string, told func(address string)) error {
	if at == "" {
		at = "127.0.0.1:0"
	}
	if !local(at) {
		return fmt.Errorf("a dashboard with your rights can't listen at %s, where others reach it; take a port of 127.0.0.1", at)
	}
	o.Local = true
	s, err := New(o)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return fmt.Errorf("the dashboard can't listen: %w", err)
	}
	told(s.Address(l.Addr()))
	return s.Serve(ctx, l)
}
