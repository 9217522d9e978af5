package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

const (
	seeders = 2
	// minSteps is how many different percentages a person gets to see.
	minSteps = 10
	// patience bounds each wait, on a machine with other things to do.
	patience = 2 * time.Minute
	// operator is the name of the Deployment and of the service account in
	// config/, namespace where they are.
	operator  = "torrent-operator"
	namespace = "torrent-operator-system"
	// rate makes the download last about 45 s.
	rate = "6Mi"
)

func (d *demo) content() string        { return filepath.Join(d.dir, "content", name) }
func (d *demo) seederDir(i int) string { return filepath.Join(d.dir, fmt.Sprintf("seeder-%d", i)) }
func (d *demo) volumes() string        { return filepath.Join(d.dir, "volumes") }
func (d *demo) volume() string         { return filepath.Join(d.volumes(), name) }
func (d *demo) kubectl() string        { return d.cp.KubectlPath + " --kubeconfig=" + d.cp.Kubeconfig }
func (d *demo) manifest() string       { return filepath.Join(d.dir, "demo.yaml") }
func (d *demo) linkManifest() string   { return filepath.Join(d.dir, "magnet.yaml") }
func (d *demo) result() string         { return filepath.Join(d.volume(), resultPath, name) }

func (d *demo) startControlPlane(ctx context.Context) error {
	assets, err := cluster.Assets(ctx, d.out)
	if err != nil {
		return err
	}
	d.say("This takes about a minute. Starting etcd, kube-apiserver and kube-controller-manager on 127.0.0.1 …")
	d.cp, err = cluster.Start(ctx, cluster.Options{Assets: assets, ControllerManager: true})
	if err != nil {
		return err
	}
	d.undo(d.cp.Stop)
	// As on any cluster; but there is no node to run a Pod, so the operator
	// runs as a process of this machine, with its own service account.
	for _, args := range [][]string{
		{"apply", "-k", "config/in-process"},
		{"scale", "deployment", operator, "--namespace=" + namespace, "--replicas=0"},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"},
	} {
		if _, err := d.cp.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	version, err := d.cp.Kubectl(ctx, "version", "-o", "yaml")
	if err != nil {
		return err
	}
	d.say("Kubernetes %s serves TorrentDownloads at %s", gitVersion(version), d.cp.Config.Host)
	return nil
}

// gitVersion returns the last version that kubectl version names, the server's.
func gitVersion(yaml string) (version string) {
	for line := range strings.Lines(yaml) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "gitVersion: "); ok {
			version = v
		}
	}
	return version
}

func (d *demo) startTracker(ctx context.Context) (err error) {
	d.trackerAt, err = d.announced(ctx, "tracker", "tracker", "--listen=127.0.0.1:0", "--interval=10s")
	if err == nil {
		d.say("The tracker listens at %s", d.trackerAt)
	}
	return err
}

// startDashboard runs the dashboard with the rights of an administrator.
func (d *demo) startDashboard(ctx context.Context) error {
	address, err := d.announced(ctx, "dashboard", "dashboard", "--kubeconfig="+d.cp.Kubeconfig)
	if err == nil {
		d.say("Watch all of it in a browser, too: %s", address)
	}
	return err
}

// announced launches a command that prints where it listens, and returns that.
func (d *demo) announced(ctx context.Context, name string, args ...string) (string, error) {
	said := newLines()
	if err := d.launch(name, said, append([]string{d.binary}, args...)...); err != nil {
		return "", err
	}
	select {
	case address := <-said.first:
		return address, nil
	case <-time.After(patience):
		return "", fmt.Errorf("the %s did not say where it listens", name)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (d *demo) makeTorrent(ctx context.Context) error {
	d.say("Making %d files of %dMiB together and a torrent of them …", len(files), contentSize()>>20)
	if err := writeContent(ctx, d.content()); err != nil {
		return err
	}
	d.torrent = filepath.Join(d.dir, name+".torrent")
	out, err := exec.CommandContext(ctx, d.binary, "create", d.content(), "--tracker="+d.trackerAt,
		"--output="+d.torrent, "--piece-length=256KiB").CombinedOutput()
	if err != nil {
		return fmt.Errorf("torrent-operator create: %w: %s", err, out)
	}
	b, err := os.ReadFile(d.torrent)
	if err != nil {
		return err
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		return err
	}
	d.infoHash, d.magnet = m.InfoHash.String(), m.Magnet().String()
	d.say("Torrent %s: %d pieces, info hash %s", filepath.Base(d.torrent), m.Info.PieceCount(), d.infoHash)
	return nil
}

func (d *demo) startSeeders(ctx context.Context) error {
	for i := range seeders {
		if err := linkTree(filepath.Dir(d.content()), d.seederDir(i)); err != nil {
			return err
		}
		if err := d.launch(fmt.Sprintf("seeder-%d", i), nil, d.binary, "download", d.torrent,
			"--output="+d.seederDir(i), "--seed"); err != nil {
			return err
		}
	}
	err := poll(ctx, patience, "both seeders are to be known to the tracker", func(ctx context.Context) (bool, error) {
		n, err := d.seedersAtTracker(ctx)
		return n == seeders, err
	})
	if err != nil {
		return err
	}
	d.say("%d seeders have checked their content and announced themselves", seeders)
	return nil
}

// seedersAtTracker asks the tracker how many complete peers it knows.
func (d *demo) seedersAtTracker(ctx context.Context) (int, error) {
	hash, err := metainfo.ParseHash(d.infoHash)
	if err != nil {
		return 0, err
	}
	address := strings.TrimSuffix(d.trackerAt, "/announce") + "/scrape?info_hash=" + url.QueryEscape(string(hash[:]))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking the tracker: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	var reply struct {
		Files map[string]struct {
			Complete int `bencode:"complete"`
		} `bencode:"files"`
	}
	if err := bencode.Unmarshal(body, &reply, bencode.Limits{Size: 1 << 16, Depth: 4}); err != nil {
		return 0, fmt.Errorf("the tracker's answer to /scrape: %w", err)
	}
	return reply.Files[string(hash[:])].Complete, nil
}

func (d *demo) startOperator(ctx context.Context) error {
	if err := os.MkdirAll(d.volume(), 0o755); err != nil {
		return err
	}
	token, err := d.cp.Kubectl(ctx, "create", "token", operator, "--namespace="+namespace, "--duration=24h")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(d.dir, "operator.kubeconfig")
	if err := d.cp.WriteKubeconfig(kubeconfig, token); err != nil {
		return err
	}
	if err := d.launch("operator", nil, d.binary, "manager", "--executor=in-process",
		"--kubeconfig="+kubeconfig,
		"--node-name="+node,
		"--local-volume-root="+d.volumes(),
		"--progress-min-interval=1s",
		"--allow-cidrs=127.0.0.0/8",
		"--metrics-bind-address=0",
		"--health-probe-bind-address=127.0.0.1:0",
		"--log-format=text",
	); err != nil {
		return err
	}
	d.say("The operator runs with the rights of its service account, and may write below %s", d.volumes())
	return nil
}

func (d *demo) applyObjects(ctx context.Context) error {
	metainfo, err := os.ReadFile(d.torrent)
	if err != nil {
		return err
	}
	yaml, err := objects(d.volume(), metainfo)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.manifest(), yaml, 0o644); err != nil {
		return err
	}
	d.table = newTable(d.out)
	if err := d.launch("watch", d.table, d.cp.KubectlPath, "--kubeconfig="+d.cp.Kubeconfig, "get", "td", "--watch"); err != nil {
		return err
	}
	d.say("kubectl apply -f %s\n\n%s", d.manifest(), torrentDownload)
	fmt.Fprintf(d.out, "$ kubectl get td --watch\n")
	_, err = d.cp.Kubectl(ctx, "apply", "-f", d.manifest())
	return err
}

// awaitReady waits until a TorrentDownload is Ready.
func (d *demo) awaitReady(ctx context.Context, name string) error {
	get := []string{"get", "td", name, "-o", `jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}`}
	return poll(ctx, 3*patience, "the download is to be Ready", func(ctx context.Context) (bool, error) {
		conditions, err := d.cp.Kubectl(ctx, get...)
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(conditions) {
			if strings.HasPrefix(line, "Stalled=True") {
				return false, fmt.Errorf("the download does not go on: %s", line)
			}
			if strings.HasPrefix(line, "Ready=True") {
				return true, nil
			}
		}
		return false, nil
	})
}

func (d *demo) awaitDownload(ctx context.Context) error {
	if err := d.awaitReady(ctx, name); err != nil {
		return err
	}
	// The table comes by another way than the answer above.
	err := poll(ctx, patience, "kubectl is to print the last row", func(context.Context) (bool, error) {
		return d.table.complete(), nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	if n := d.table.steps(); n < minSteps {
		return fmt.Errorf("the download is complete, but only %d steps of progress were to be seen", n)
	}
	return nil
}

// byLink downloads the same again, by a magnet link: what the torrent is made
// of comes from the seeders.
func (d *demo) byLink(ctx context.Context) error {
	yaml := fmt.Sprintf(linkedDownload, d.magnet)
	if err := os.WriteFile(d.linkManifest(), []byte(yaml), 0o644); err != nil {
		return err
	}
	d.say("The same by its magnet link: kubectl apply -f %s\n\n%s", d.linkManifest(), yaml)
	if _, err := d.cp.Kubectl(ctx, "apply", "-f", d.linkManifest()); err != nil {
		return err
	}
	if err := d.awaitReady(ctx, linked); err != nil {
		return err
	}
	return d.compareWith(ctx, filepath.Join(d.volume(), linked, name))
}

func (d *demo) compare(ctx context.Context) error { return d.compareWith(ctx, d.result()) }

// compareWith compares what was made with what has come.
func (d *demo) compareWith(ctx context.Context, result string) error {
	n, err := compareContent(ctx, d.content(), result)
	if err != nil {
		return err
	}
	if n != contentSize() {
		return fmt.Errorf("%d bytes were compared, and there should be %d", n, contentSize())
	}
	d.say("Compared byte for byte: all %d bytes in %d files are the seeders'.", n, len(files))
	return nil
}

func (d *demo) summary(exit bool) {
	fmt.Fprintf(d.out, `
What was shown lies here:
  content      %s
  torrent      %s
  magnet link  %s
  volume       %s
  result       %s
  objects      %s
  logs         %s/*.log and %s/*.log
`, d.content(), d.torrent, d.magnet, d.volume(), d.result(), d.manifest(), d.dir, d.cp.LogDir)
	if exit {
		fmt.Fprintln(d.out, "It goes now, with everything that was started. Without EXIT=1 it stays until Ctrl-C.")
		return
	}
	fmt.Fprintf(d.out, `
It stays until Ctrl-C. Try, in another terminal:
  alias k='%s'
  k get td -o wide
  k describe td %s
  k get td %s -o yaml
  k annotate td %s torrent-operator.io/verifyRequestedAt="$(date)" --overwrite
or with the plugin, which is "kubectl torrent" where its folder is in your PATH:
  export KUBECONFIG=%s
  %s watch
`, d.kubectl(), name, name, name, d.cp.Kubeconfig, filepath.Join(filepath.Dir(d.binary), "kubectl-torrent"))
}
