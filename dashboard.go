package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"github.com/torrent-operator/torrent-operator/internal/dashboard"
)

// serviceAccount is where Kubernetes puts the authority of the API server into
// each Pod.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// dashboardFlags are the flags of the dashboard command, as its help describes
// them.
type dashboardFlags struct {
	kubeconfig      string
	listen          string
	authHeader      string
	tlsCert, tlsKey string
	authority       string
}

func dashboardCommand() *cobra.Command {
	var f dashboardFlags
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Serve the web page on which people see and steer their downloads",
		Long: `Serve the web page on which people see and steer their downloads.

It has no rights of its own. In a cluster people sign in with a bearer token,
or an authenticating proxy in front passes their tokens on in the header of
--auth-header, and the API server decides what each of them sees and does. With
--kubeconfig it is the dashboard of one person, with the rights of that
kubeconfig, on this machine alone: open the address that it prints.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), func(address string) { fmt.Fprintln(cmd.OutOrStdout(), address) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "be the dashboard of this kubeconfig's user, on this machine alone")
	fs.StringVar(&f.listen, "listen", "", "address to listen at; default :8080, and with --kubeconfig 127.0.0.1 and any port")
	fs.StringVar(&f.authHeader, "auth-header", "", "header in which an authenticating proxy passes on each person's token, such as Authorization or X-Forwarded-Access-Token; nobody but the proxy may reach this port then")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "PEM certificate to serve HTTPS with, read again when it changes; without it something in front has to speak HTTPS with browsers")
	fs.StringVar(&f.tlsKey, "tls-key", "", "PEM key of --tls-cert")
	fs.StringVar(&f.authority, "certificate-authority", filepath.Join(serviceAccount, "ca.crt"), "PEM certificates that the API server's is verified with, in a cluster")
	return cmd
}

// run serves until ctx ends. told is called with the address once it listens.
func (f *dashboardFlags) run(ctx context.Context, told func(address string)) error {
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key belong together")
	}
	o := dashboard.Options{AuthHeader: f.authHeader, Local: f.kubeconfig != ""}
	var err error
	if o.Local {
		o.Config, err = restConfig(f.kubeconfig)
	} else {
		o.Config, err = f.inCluster()
	}
	if err != nil {
		return err
	}
	if o.Local {
		return dashboard.ServeLocal(ctx, o, f.listen, told)
	}
	s, err := dashboard.New(o)
	if err != nil {
		return err
	}
	l, err := f.listener(ctx)
	if err != nil {
		return err
	}
	told(s.Address(l.Addr()))
	return s.Serve(ctx, l)
}

// inCluster is how a Pod reaches the API server, without any credentials: the
// dashboard's Pod needs none, and should mount none.
func (f *dashboardFlags) inCluster() (*rest.Config, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("this is no Pod of a cluster; give --kubeconfig FILE to serve the dashboard for yourself")
	}
	if _, err := os.Stat(f.authority); err != nil {
		return nil, fmt.Errorf("--certificate-authority: %w; mount the ConfigMap kube-root-ca.crt, which each namespace has", err)
	}
	return &rest.Config{Host: "https://" + net.JoinHostPort(host, port), TLSClientConfig: rest.TLSClientConfig{CAFile: f.authority}}, nil
}

// listener listens, with TLS if that is asked for.
func (f *dashboardFlags) listener(ctx context.Context) (net.Listener, error) {
	at := f.listen
	if at == "" {
		at = ":8080"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if f.tlsCert == "" {
		return l, nil
	}
	certificates, err := certwatcher.New(f.tlsCert, f.tlsKey)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	go certificates.Start(ctx) //nolint:errcheck // It ends with ctx; what can't be read then is logged by it.
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: certificates.GetCertificate}), nil
}
