//go:build chart

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// rules are the alerts that the chart installs.
const rules = "../../charts/torrent-operator/files/alerts.yaml"

// prometheus is a server that reads the metrics of one operator each second, and
// evaluates the rules as often, without their patience: an alert fires as soon
// as what it looks for is so.
type prometheus struct {
	*testing.T
	url string
}

func startPrometheus(o *operator) *prometheus {
	o.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		o.Fatalf("%v: as root, apt-get install --no-install-recommends prometheus", err)
	}
	text, err := os.ReadFile(rules)
	if err != nil {
		o.Fatal(err)
	}
	target, err := url.Parse(o.metrics)
	if err != nil {
		o.Fatal(err)
	}
	dir, address := o.TempDir(), freeAddress(o.T)
	for name, content := range map[string]string{
		"rules.yaml": regexp.MustCompile(`(?m)^    for: \w+$`).ReplaceAllString(string(text), "    for: 0s"),
		"prometheus.yaml": "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n" +
			"scrape_configs:\n- job_name: operator\n  static_configs: [{targets: ['" + target.Host + "']}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			o.Fatal(err)
		}
	}
	process, err := cluster.Command{
		Args: []string{
			"prometheus", "--config.file=" + filepath.Join(dir, "prometheus.yaml"),
			"--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
		},
		Log: filepath.Join(dir, "log"),
	}.Start()
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { process.Stop(10 * time.Second) })
	p := &prometheus{T: o.T, url: "http://" + address}
	o.await("Prometheus reads its metrics", func() bool {
		var found struct{ Data struct{ Result []any } }
		p.ask(o, "/api/v1/query?query=torrent_operator_build_info", &found)
		return len(found.Data.Result) == 1
	})
	return p
}

// ask reads an answer of the server's API, and leaves into as it is while it
// does not answer.
func (p *prometheus) ask(o *operator, path string, into any) {
	p.Helper()
	code, body := o.get(p.url + path)
	if code != http.StatusOK {
		return
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		p.Fatalf("%s: %v: %s", path, err, body)
	}
}

// fires waits until these alerts fire, and no other one.
func (p *prometheus) fires(o *operator, want ...string) {
	p.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if p.Failed() {
			p.Logf("%v fire, want %v", got, want)
		}
	}()
	awaitOf(p.T, fmt.Sprintf("of the alerts %v fire", want), func() bool {
		var all struct {
			Data struct {
				Alerts []struct {
					Labels struct{ Alertname string }
					State  string
				}
			}
		}
		p.ask(o, "/api/v1/alerts", &all)
		got = nil
		for _, a := range all.Data.Alerts {
			if a.State == "firing" {
				got = append(got, a.Labels.Alertname)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// Each alert fires when what it is about happens to an operator, and nothing
// fires before.
func TestPrometheusTellsOfEachAlertByItsCause(t *testing.T) {
	causes := []struct {
		alerts []string
		flags  []string
		cause  func(*world, *operator)
	}{
		{alerts: []string{"TorrentOperatorDown"}, cause: func(_ *world, o *operator) { o.kill() }},
		{alerts: []string{"TorrentOperatorReconcileErrors"}, cause: mayNotWrite},
		{
			alerts: []string{"TorrentOperatorStatusBudgetExhausted"}, cause: manyAtOnce,
			flags: []string{"--status-write-qps=5"},
		},
		{alerts: []string{"TorrentDownloadsStalled", "TorrentDownloadsWithoutPeers"}, cause: func(w *world, _ *operator) {
			w.download("lonely", newTorrent(w.T, "lonely", 1<<20).file, stallsAfter(1))
		}},
		{alerts: []string{"TorrentDownloadsStalled", "TorrentDownloadsOutOfSpace"}, cause: func(w *world, _ *operator) { tooLarge(w, nil, "") }},
		{alerts: []string{"TorrentDownloadsSpaceRunsOut"}, cause: othersTakeTheRoom},
		{alerts: []string{"TorrentWorkersCrashLooping"}, cause: workersEnd, flags: []string{
			"--executor=pods", "--worker-image=example.org/worker:v1", "--namespace=" + system, "--report-bind-address=" + freeAddress(t),
		}},
	}
	tested := map[string]bool{"TorrentOperatorNoLeader": true}
	for _, c := range causes {
		t.Run(c.alerts[len(c.alerts)-1], func(t *testing.T) {
			w := newWorld(t)
			o := startOperator(t, w.volumes, c.flags...)
			p := startPrometheus(o)
			p.fires(o)
			c.cause(w, o)
			p.fires(o, c.alerts...)
		})
		for _, alert := range c.alerts {
			tested[alert] = true
		}
	}
	t.Run("TorrentOperatorNoLeader", nobodyLeads)
	var all struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	text, err := os.ReadFile(rules)
	if err == nil {
		err = yaml.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range all.Groups {
		for _, r := range group.Rules {
			if !tested[r.Alert] {
				t.Errorf("nothing here makes %s fire", r.Alert)
			}
		}
	}
}

// nobodyLeads has somebody hold the Lease who does not run.
func nobodyLeads(t *testing.T) {
	w := newWorld(t)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "torrent-operator.torrent-operator.io"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("somebody"), LeaseDurationSeconds: ptr.To[int32](3600),
			AcquireTime: ptr.To(metav1.NowMicro()), RenewTime: ptr.To(metav1.NowMicro()),
		},
	}
	drop := func() {
		if err := client.IgnoreNotFound(w.Delete(context.Background(), lease)); err != nil {
			w.Error(err)
		}
	}
	drop() // Another test may have left it.
	w.Cleanup(drop)
	held := lease.DeepCopy()
	if err := w.Create(w.Context(), held); err != nil {
		w.Fatal(err)
	}
	o := startOperator(t, w.volumes, "--leader-elect", "--namespace="+system)
	p := startPrometheus(o)
	p.fires(o, "TorrentOperatorNoLeader")
	drop()
	o.await("it leads", o.leads)
	p.fires(o)
}

// mayNotWrite takes the right to write statuses away.
func mayNotWrite(w *world, _ *operator) {
	role := &rbacv1.ClusterRole{}
	if err := w.Get(w.Context(), client.ObjectKey{Name: account}, role); err != nil {
		w.Fatal(err)
	}
	before := role.DeepCopy()
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.Resources, "torrentdownloads/status")
	})
	if err := w.Patch(w.Context(), role, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		without := role.DeepCopy()
		role.Rules = before.Rules
		if err := w.Patch(context.Background(), role, client.MergeFrom(without)); err != nil {
			w.Error(err)
		}
	})
	file := newTorrent(w.T, "refused", 1<<20).file
	for i := range 10 {
		w.download(fmt.Sprintf("refused-%d", i), file)
	}
}

// manyAtOnce has more downloads make progress than may be written.
func manyAtOnce(w *world, _ *operator) {
	o := newTorrent(w.T, "many", 32<<20)
	from := from(newSeeder(w.T, o, 0).address())
	slowly := func(td *v1alpha1.TorrentDownload) { // Each gets a piece a second, for minutes.
		td.Spec.Limits.DownloadBytesPerSecond = ptr.To(resource.MustParse("64Ki"))
	}
	for i := range 30 {
		w.download(fmt.Sprintf("many-%d", i), o.file, from, slowly)
	}
}

// othersTakeTheRoom has a volume with room for a download, until somebody else
// writes there.
func othersTakeTheRoom(w *world, _ *operator) {
	if os.Geteuid() != 0 {
		w.Skip("only root can mount a volume of its own")
	}
	o := newTorrent(w.T, "squeezed", 12<<20)
	w.claim("squeezed")
	folder := w.folder("squeezed")
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=16m"); err != nil {
		w.Fatalf("mounting a tmpfs: %v", err)
	}
	w.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			w.Error(err)
		}
	})
	w.apply("squeezed", o.file, from(newSeeder(w.T, o, 64<<10).address()))
	w.awaitDownload("squeezed", "downloads", func(td *v1alpha1.TorrentDownload) bool {
		return td.Status.Progress != nil && td.Status.Progress.BytesVerified > 0
	})
	if err := os.WriteFile(filepath.Join(folder, "others"), make([]byte, 8<<20), 0o644); err != nil {
		w.Fatal(err)
	}
}

// workersEnd has the first Pod of each of some downloads fail, as a kubelet
// would say.
func workersEnd(w *world, _ *operator) {
	const downloads = 8
	file := newTorrent(w.T, "crashing", 1<<20).file
	for i := range downloads {
		w.download(fmt.Sprintf("crashing-%d", i), file)
	}
	ended := map[string]bool{}
	w.await("each has had a Pod", func() bool {
		var pods corev1.PodList
		if err := w.List(w.Context(), &pods, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if ended[pod.Name] {
				continue
			}
			before := pod.DeepCopy()
			pod.Status.Phase = corev1.PodFailed
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image,
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}},
			}}
			if err := client.IgnoreNotFound(w.Status().Patch(w.Context(), pod, client.MergeFrom(before))); err != nil {
				w.Fatal(err)
			}
			ended[pod.Name] = true
		}
		return len(ended) >= downloads
	})
}
