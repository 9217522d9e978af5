package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/cgroup"
	"github.com/torrent-operator/torrent-operator/internal/cli"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/engine"
	"github.com/torrent-operator/torrent-operator/internal/executor/inproc"
	"github.com/torrent-operator/torrent-operator/internal/report"
	"github.com/torrent-operator/torrent-operator/internal/worker"
)

// defaultPeerPort is where a worker takes peers if its order names no port
// (BEP 3).
const defaultPeerPort = 6881

// workerFlags are the flags of the worker command, as its help describes them.
type workerFlags struct {
	order, ca, token, data, result string
	podIP, nodeName                string
	deny, allow                    []string
	assembly                       string
	detailPort                     int
	stop                           time.Duration
	udp                            udpFlags
	logFormat, logLvl              string
}

func workerCommand() *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Carry out one order of the operator, in a Pod that it made",
		Long: `Carry out one order of the operator, in a Pod that it made: download, seed or
erase what one TorrentDownload names, on a volume that is mounted here.

How it goes is told to the operator, if it can be reached, and what it came to is
left in the file of the termination message. The defaults are the paths at which
the operator's Pods have everything. The engine is made as small as the memory
limit of the container asks for.

Exit codes:
  0  done: complete and durable; resolved; erased; or at rest when told to stop
  1  failed; the termination message says why
  2  the command line is wrong, or the worker crashed
  3  there is no order that could be understood
  7  told to stop before it was done; another start goes on`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWorker(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.order, "order", filepath.Join(report.OrderDir, report.OrderKey), "file with the order")
	fs.StringVar(&f.ca, "ca-file", filepath.Join(report.OrderDir, report.CAKey), "file with the certificates that the operator is trusted by; read again when it changes")
	fs.StringVar(&f.token, "token-file", filepath.Join(report.TokenDir, report.TokenKey), "file with the token by which the operator knows this Pod; read again when it changes")
	fs.StringVar(&f.data, "data-dir", report.DataDir, "folder where the volume is mounted")
	fs.StringVar(&f.result, "result-file", report.ResultPath, "file of the termination message")
	fs.StringVar(&f.podIP, "pod-ip", os.Getenv("POD_IP"), "address at which others in the cluster reach this Pod, to serve each other (env POD_IP)")
	fs.StringVar(&f.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of the Node on which this Pod runs (env NODE_NAME)")
	fs.StringSliceVar(&f.deny, "deny-cidrs", workerDenies, "networks that the download may not connect to (trackers, peers, web seeds, metainfo URLs)")
	fs.StringSliceVar(&f.allow, "allow-cidrs", nil, "networks that the download may connect to although they are denied")
	fs.StringVar(&f.assembly, "assembly-memory", "", "memory for pieces that are being put together, such as 64Mi; default: a quarter of the container's memory, at most 64Mi")
	fs.IntVar(&f.detailPort, "detail-port", report.DetailPort, "port of the loopback at which the download can be looked at closely by who may forward ports to this Pod; 0 is any port")
	f.udp.register(fs)
	fs.DurationVar(&f.stop, "stop-timeout", 20*time.Second, "how long the download may take to stop when told to; a few seconds less than the Pod's grace period")
	fs.StringVar(&f.logFormat, "log-format", "json", "json or text")
	fs.StringVar(&f.logLvl, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// workerDenies are the networks that no download in a Pod has anything to seek
// in: the Pod itself, and the metadata services of clouds, which give
// credentials of the node to whoever asks from it. All else is for the
// namespace's NetworkPolicies to say.
var workerDenies = []string{
	"127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128", "100.100.100.200/32",
}

// runWorker is the one place where a worker is put together.
func runWorker(ctx context.Context, f workerFlags) error {
	log, err := newLogger(f.logFormat, f.logLvl)
	if err != nil {
		return cli.WithCode(2, err)
	}
	result := worker.ResultFile(f.result)
	order, err := readOrder(f.order)
	if err != nil {
		return cli.WithCode(report.ExitOrder, errors.Join(err, failed(result, download.FailForGood(download.ReasonInternalError, "%v", err))))
	}
	settings, err := workerEngine(f, order, log)
	if err != nil {
		return cli.WithCode(2, errors.Join(err, failed(result, download.FailForGood(download.ReasonInternalError, "%v", err))))
	}
	eng, err := engine.New(settings)
	if err != nil {
		return cli.WithCode(report.ExitFailed, errors.Join(err, failed(result, download.Fail(download.ReasonInternalError, "%v", err))))
	}
	c := inproc.Config{
		Engine: eng, Volumes: inproc.Mounted(f.data), NodeName: f.nodeName,
		ReadOnly: order.Task == report.Seed, // As the operator mounts it for that.
	}
	if f.podIP != "" {
		c.Address = net.JoinHostPort(f.podIP, strconv.Itoa(eng.Port()))
	}
	run := worker.Config{
		Order: order, Executor: inproc.New(c), Result: result, Logger: log, StopTimeout: f.stop,
	}
	if order.Endpoint != "" {
		run.Reporter = &report.Client{Endpoint: order.Endpoint, CAFile: f.ca, TokenFile: f.token}
	}
	if run.Detail, err = worker.ListenDetail(ctx, f.detailPort); err != nil {
		log.Warn("the download goes on", "error", err)
	} else {
		log = log.With("detailAddress", run.Detail.Addr().String())
	}
	log.Info("starting", "task", order.Task, "peerPort", eng.Port(), "assemblyBytes", settings.AssemblyBytes, "memoryLimit", cgroup.MemoryLimit())
	code, err := worker.Run(ctx, run)
	if err != nil {
		return cli.WithCode(code, err)
	}
	return nil // What is left is the engine's, and ends with the process.
}

// failed leaves a failure behind that came before there was a download.
func failed(f worker.ResultFile, why *download.Failure) error {
	return f.Leave(report.Result{Progress: download.Progress{At: time.Now(), State: download.StateFailed, Err: why}})
}

func readOrder(file string) (report.Order, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return report.Order{}, fmt.Errorf("there is no order: %w", err)
	}
	return report.DecodeOrder(b)
}

// workerEngine reads the settings of the engine from the flags, the order and
// the container.
func workerEngine(f workerFlags, order report.Order, log *slog.Logger) (c engine.Config, err error) {
	port := order.Request.Inbound.Port
	if port == 0 {
		port = defaultPeerPort
	}
	guard, err := newGuard(f.deny, f.allow)
	if err != nil {
		return c, err
	}
	assembly, heap := workerMemory(cgroup.MemoryLimit())
	if f.assembly != "" {
		if assembly, err = assemblyMemory(f.assembly); err != nil {
			return c, err
		}
	}
	if err := f.udp.check(); err != nil {
		return c, err
	}
	limitHeap(heap)
	return engine.Config{PortFirst: port, PortLast: port, AssemblyBytes: assembly, Guard: guard, DHT: f.udp.node(), UTP: f.udp.utp, Logger: log}, nil
}
