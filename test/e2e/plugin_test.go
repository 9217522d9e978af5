package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// builtPlugin builds the plugin, once for all tests, and returns the folder in
// which it lies under the name by which kubectl finds it.
var builtPlugin = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(program), "plugin")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", filepath.Join(dir, "kubectl-torrent"), "../../cmd/kubectl-torrent").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return dir, nil
})

// user is somebody with a kubeconfig and the plugin.
type user struct {
	*world
	plugin     string
	kubeconfig string
}

// user makes one who has a role of Kubernetes in the namespace of w: edit,
// view, or "" for no rights at all.
func (w *world) user(role string) *user {
	w.Helper()
	dir, err := builtPlugin()
	if err != nil {
		w.Fatal(err)
	}
	name := "user-" + role + "x"
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if role != "" {
		w.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.ns, Name: name}},
		})
	}
	token, err := plane.Kubectl(w.Context(), "create", "token", name, "--namespace="+w.ns)
	if err != nil {
		w.Fatal(err)
	}
	u := &user{world: w, plugin: filepath.Join(dir, "kubectl-torrent"), kubeconfig: filepath.Join(w.TempDir(), "kubeconfig")}
	if err := plane.WriteKubeconfig(u.kubeconfig, strings.TrimSpace(token)); err != nil {
		w.Fatal(err)
	}
	if role != "" { // What aggregates roles may not have come by yet.
		w.await("the user may list downloads", func() bool { _, _, code := u.run("list"); return code == 0 })
	}
	return u
}

// run runs "kubectl torrent" in the namespace of the world.
func (u *user) run(args ...string) (stdout, stderr string, code int) {
	u.Helper()
	ctx, cancel := context.WithTimeout(u.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.plugin, slices.Insert(slices.Clone(args), 1, "--namespace="+u.ns)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+u.kubeconfig)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.Fatalf("kubectl torrent %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// does runs a command that has to succeed, and returns what it prints.
func (u *user) does(args ...string) string {
	u.Helper()
	stdout, stderr, code := u.run(args...)
	if code != 0 || stderr != "" {
		u.Fatalf("kubectl torrent %s: exit code %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// fails runs a command that has to fail, and holds it to its exit code and to
// all that it says.
func (u *user) fails(code int, says string, args ...string) {
	u.Helper()
	stdout, stderr, got := u.run(args...)
	if want := "kubectl torrent: " + says + "\n"; got != code || stderr != want || strings.Contains(stdout, "added") {
		u.Errorf("kubectl torrent %s: exit code %d, want %d; it says\n%swant\n%s(standard output %q)", strings.Join(args, " "), got, code, stderr, want, stdout)
	}
}

// isReady says whether Ready is as given, as "False Downloading".
func isReady(want string) func(*v1alpha1.TorrentDownload) bool {
	return func(td *v1alpha1.TorrentDownload) bool { return condition(td, v1alpha1.ConditionReady) == want }
}

// The whole way: kubectl finds the plugin, what it adds is fetched, and what
// holds the .torrent file goes with the download.
func TestThePluginAddsATorrentFileAndWatchesIt(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	u := w.user("edit")
	o := newTorrent(t, "A Data Set", 3<<20)
	w.claim("datasets")
	cmd := exec.CommandContext(t.Context(), plane.KubectlPath, "torrent", "add", o.save(t), "--claim=datasets", "--path=a/b",
		"--peer="+o.seed(t), "--watch", "--namespace="+w.ns)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+u.kubeconfig, "PATH="+filepath.Dir(u.plugin)+":"+os.Getenv("PATH"))
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"Info hash:   " + o.meta.InfoHash.String() + "\n", "Files:       3\n",
		"torrentdownload/a-data-set added; its data goes to claim datasets, folder a/b\n", "a-data-set: Complete  100%  3.0MiB of 3.0MiB",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Errorf("what is no terminal gets %q", out)
	}
	o.compare(t, filepath.Join(w.folder("datasets"), "a/b"))

	holder := w.get("a-data-set").Spec.Source.MetainfoFrom.ConfigMapKeyRef.Name
	if said := u.does("delete", "a-data-set"); said != "torrentdownload/a-data-set deleted; its data stays in claim datasets\n" {
		t.Errorf("deleting it says %q", said)
	}
	u.does("wait", "a-data-set", "--for=deleted")
	w.await("what held the .torrent file is gone", func() bool {
		_, err := plane.Kubectl(t.Context(), "get", "configmap", holder, "--namespace="+w.ns)
		return err != nil && strings.Contains(err.Error(), "NotFound")
	})
	o.compare(t, filepath.Join(w.folder("datasets"), "a/b"))
}

func TestThePluginAddsAMagnetLinkAndWaits(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	u := w.user("edit")
	o := newTorrent(t, "linked", 1<<20)
	w.claim("linked")
	said := u.does("add", o.meta.Magnet().String()+"&x.pe="+o.seed(t), "--claim=linked", "--name=by-link", "--seed-forever", "-o", "name")
	if said != "torrentdownload.torrent-operator.io/by-link\n" {
		t.Errorf("adding it says %q", said)
	}
	if said := u.does("wait", "by-link", "--timeout=80s"); said != "torrentdownload/by-link is complete\n" {
		t.Errorf("waiting for it says %q", said)
	}
	u.does("wait", "by-link", "--for=seeding", "--timeout=80s")
	o.compare(t, w.folder("linked"))
}

// What is printed can be applied, and is what would have been made.
func TestADryRunPrintsWhatWouldBeMade(t *testing.T) {
	w := newWorld(t)
	u := w.user("edit")
	o := newTorrent(t, "dry", 1<<20)
	printed := u.does("add", o.save(t), "--claim=later", "--files=data", "--exclude=*.tmp", "--down=1Mi", "--seed-ratio=1.5", "--paused", "--dry-run=client", "-o", "yaml")
	if w.get("dry") != nil {
		t.Fatal("a dry run has added it")
	}
	file := filepath.Join(t.TempDir(), "printed.yaml")
	if err := os.WriteFile(file, []byte(printed), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := plane.Kubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatalf("%v:\n%s", err, printed)
	}
	s := w.get("dry").Spec
	if s.Files.Include[0] != "data" || s.Files.Exclude[0] != "*.tmp" || s.Limits.DownloadBytesPerSecond.String() != "1Mi" ||
		s.Seeding.RatioPercent != 150 || s.Suspend == nil || !*s.Suspend || s.Source.MetainfoFrom.ConfigMapKeyRef == nil {
		t.Errorf("what was printed became %+v", s)
	}
}

func TestThePluginSteersADownload(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	u := w.user("edit")
	o := newTorrent(t, "steered", 2<<20)
	w.claim("steered")
	u.does("add", o.save(t), "--claim=steered", "--peer="+o.seed(t), "--down=1k")
	w.awaitDownload("steered", "is fetched", isReady("False Downloading"))

	u.does("pause", "steered")
	w.awaitDownload("steered", "is paused", isReady("False Suspended"))
	if said := u.does("resume", "steered"); said != "torrentdownload/steered goes on\n" {
		t.Errorf("resuming it says %q", said)
	}
	u.does("limit", "steered", "--down=0", "--up=10Mi", "--peers=7")
	td := w.completes("steered")
	if l := td.Spec.Limits; l.DownloadBytesPerSecond != nil || l.UploadBytesPerSecond.String() != "10Mi" || l.MaxPeers != 7 {
		t.Errorf("the limits are %+v", l)
	}
	u.does("limit", "steered", "--peers=0")
	if l := w.get("steered").Spec.Limits; l.UploadBytesPerSecond.String() != "10Mi" || l.MaxPeers != 0 {
		t.Errorf("what is not named does not stay: %+v", l)
	}
	u.does("seed", "steered", "--ratio=2")
	u.does("seed", "steered", "--for=1h")
	if s := w.get("steered").Spec.Seeding; s.Policy != "Duration" || s.DurationSeconds != 3600 || s.RatioPercent != 0 {
		t.Errorf("it seeds as %+v", s)
	}
	u.does("seed", "steered", "--none")
	u.does("verify", "steered")
	w.await("it is verified", func() bool { return w.get("steered").Status.LastHandledVerifyAt != "" })
	u.does("retry", "steered")
	w.await("it is tried again", func() bool { return w.get("steered").Status.LastHandledRetryAt != "" })
	w.completes("steered")
	o.compare(t, w.folder("steered"))

	if said := u.does("delete", "steered", "--data"); said != "torrentdownload/steered deleted; its files are being removed from claim steered\n" {
		t.Errorf("deleting it says %q", said)
	}
	u.does("wait", "steered", "--for=deleted", "--timeout=80s")
	if left := filesBelow(t, w.folder("steered")); len(left) > 0 {
		t.Errorf("deleted with its data, and these are left: %v", left)
	}
}

func TestThePluginShowsDownloads(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	u := w.user("view")
	if _, stderr, code := u.run("list"); code != 0 || stderr != "There is no download in namespace "+w.ns+".\n" {
		t.Errorf("an empty list says %q with exit code %d", stderr, code)
	}
	o := newTorrent(t, "shown", 1<<20)
	w.download("shown", o.file, from(o.seed(t)))
	w.apply("stuck", o.file, func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.ClaimName = "missing" })
	w.completes("shown")
	w.awaitDownload("stuck", "waits", isReady("False ClaimNotFound"))

	lines := strings.Split(u.does("list"), "\n")
	if f := strings.Fields(lines[1]); strings.Join(f[:4], " ") != "shown Complete 100% 1.0MiB" || f[8] != "shown" {
		t.Errorf("the list is\n%s", strings.Join(lines, "\n"))
	}
	if f := strings.Fields(lines[2]); f[0] != "stuck" || f[1] != "ClaimNotFound" {
		t.Errorf("the list is\n%s", strings.Join(lines, "\n"))
	}
	if wide := u.does("list", "-o", "wide"); !strings.Contains(wide, o.meta.InfoHash.String()) || !strings.Contains(wide, "16/16") {
		t.Errorf("the wide list is\n%s", wide)
	}
	if names := u.does("get", "-o", "name"); names != "torrentdownload.torrent-operator.io/shown\ntorrentdownload.torrent-operator.io/stuck\n" {
		t.Errorf("the names are %q", names)
	}
	if path := u.does("get", "shown", "-o", "jsonpath={.status.progress.percent}"); path != "100" {
		t.Errorf("the object says %q", path)
	}
	description := u.does("describe", "shown")
	for _, want := range []string{
		"State:      Complete\n", "Data:       claim shown\n", "If deleted: its data stays in claim shown\n", strings.Repeat("#", 72),
		"Peers, trackers and files are not shown. It is complete and at rest", "MetadataResolved", "Normal", "Every",
	} {
		if !strings.Contains(strings.ReplaceAll(description, "█", "#"), want) {
			t.Errorf("it does not show %q:\n%s", want, description)
		}
	}
	if said, _, _ := u.run("__complete", "describe", "shown", ""); !strings.HasPrefix(said, "stuck\tClaimNotFound\n") {
		t.Errorf("names are completed to %q", said)
	}
	u.fails(8, "stuck is not complete yet: ClaimNotFound", "wait", "stuck", "--timeout=100ms")
	u.fails(1, "it has no Pod of its own: it has not begun yet, its last Pod was removed, or it runs in the operator itself, whose log has what it says", "logs", "shown")
}

// Errors are for those who read them.
func TestThePluginSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	u := w.user("edit")
	o := newTorrent(t, "wrong", 1<<20)
	file := o.save(t)
	w.claim("one")
	w.claim("two")
	u.fails(1, `there is no claim "three" in namespace `+w.ns+`; there are: one, two`, "add", file, "--claim=three")
	u.fails(3, `invalid torrent: the magnet link names no torrent: it has no xt=urn:btih: with an info hash`, "add", "magnet:?dn=x", "--claim=one")
	u.fails(2, "--size x: it must be a size such as 100Gi (see kubectl torrent add --help)", "add", file, "--size=x")
	u.fails(2, "at least one of the flags in the group [down up peers] is required (see kubectl torrent limit --help)", "limit", "wrong")
	u.fails(1, `there is no TorrentDownload "gone" in this namespace`, "pause", "gone")
	u.fails(1, `there is no TorrentDownload "gone" in this namespace`, "watch", "gone")
	u.fails(1, `2 of 2 failed: there is no TorrentDownload "a" in this namespace; there is no TorrentDownload "b" in this namespace`, "delete", "a", "b")
	u.fails(1, `the TorrentDownload is refused: spec.volume.path: Invalid value: "/x": path must be relative to the root of the claim: remove the leading '/'`, "add", file, "--claim=one", "--path=/x")
	u.does("add", file, "--claim=one", "--paused")
	u.fails(1, `there is a TorrentDownload "wrong" already; choose another name`, "add", file, "--claim=one")
	if maps, err := plane.Kubectl(t.Context(), "get", "configmaps", "--namespace="+w.ns, "-o", "name"); err != nil || strings.Count(maps, "wrong-") != 1 {
		t.Errorf("what was refused left something: %s, %v", maps, err)
	}
}

func TestThePluginDoesWhatItsUserMayDo(t *testing.T) {
	w := newWorld(t)
	o := newTorrent(t, "mine", 1<<20)
	file := o.save(t)
	w.download("mine", o.file)
	may := func(role, verb, what string) string {
		return fmt.Sprintf(`you may not do that: torrentdownloads.torrent-operator.io %sis forbidden: User "system:serviceaccount:%s:user-%sx" cannot %s resource "torrentdownloads" in API group "torrent-operator.io" in the namespace %q`,
			what, w.ns, role, verb, w.ns)
	}
	viewer := w.user("view")
	viewer.fails(1, may("view", "patch", `"mine" `), "pause", "mine")
	viewer.fails(1, may("view", "create", ""), "add", file, "--claim=mine")
	viewer.fails(1, may("view", "delete", `"mine" `), "delete", "mine")
	viewer.fails(1, may("view", "patch", `"mine" `), "delete", "mine", "--data")
	nobody := w.user("")
	nobody.fails(1, may("", "list", ""), "list")
	nobody.fails(1, may("", "list", ""), "watch")
	nobody.fails(1, may("", "get", `"mine" `), "describe", "mine")
	if td := w.get("mine"); td == nil || td.Spec.Suspend != nil {
		t.Errorf("it was changed: %+v", td)
	}
}

// The trackers of a private torrent hold a secret.
func TestAPrivateTorrentIsKeptInASecret(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	u := w.user("edit")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "content"), bytes.Repeat([]byte("x"), 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "private.torrent")
	u.does("create", filepath.Join(dir, "content"), "--private", "--tracker=http://127.0.0.1:1/passkey/announce", "-o", file)
	if said := u.does("inspect", file); !strings.Contains(said, "Private:     yes\n") {
		t.Errorf("it is inspected as\n%s", said)
	}
	w.claim("private")
	u.does("add", file, "--claim=private", "--name=private")
	ref := w.get("private").Spec.Source.MetainfoFrom.SecretKeyRef
	if ref == nil {
		t.Fatal("it is in no Secret")
	}
	w.awaitDownload("private", "is read", func(td *v1alpha1.TorrentDownload) bool { return td.Status.InfoHash.V1 != "" })
}

// A person watches on a terminal, which may become narrower.
func TestWatchingOnATerminalIsDrawnInPlace(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	u := w.user("view")
	o := newTorrent(t, "watched", 2<<20)
	w.download("watched", o.file, from(o.seed(t)), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Limits.DownloadBytesPerSecond = ptr.To(resource.MustParse("64k"))
	})
	w.awaitDownload("watched", "has some", func(td *v1alpha1.TorrentDownload) bool {
		return td.Status.Progress != nil && td.Status.Progress.Percent > 0
	})

	master, slave, err := cluster.OpenTerminal(60, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	p, err := cluster.Command{
		Args: []string{u.plugin, "watch", "watched", "--namespace=" + w.ns},
		Env:  []string{"KUBECONFIG=" + u.kubeconfig, "TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=1"},
		Log:  filepath.Join(t.TempDir(), "stderr"), Stdout: slave,
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0) })
	slave.Close()
	var seen screenText
	go func() { _, _ = seen.from(master) }() // It ends with an error when nobody has the other end any more.
	w.await("it is drawn", func() bool {
		return strings.Contains(seen.last(), "watched\n") && len(strings.Split(seen.last(), "\n")) == 5
	})
	if bar := strings.Split(seen.last(), "\n")[1]; len([]rune(bar)) != 59 {
		t.Errorf("the bar is %q", bar)
	}
	if err := cluster.ResizeTerminal(master, 40, 20); err != nil {
		t.Fatal(err)
	}
	w.await("it is drawn narrower", func() bool { return len([]rune(strings.Split(seen.last()+"\n", "\n")[1])) == 39 })
	w.change("watched", func(td *v1alpha1.TorrentDownload) { td.Spec.Limits.DownloadBytesPerSecond = nil })
	select {
	case <-p.Done():
	case <-t.Context().Done():
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{"watched", strings.Repeat("█", 39), "Complete  100%  2.0MiB of 2.0MiB", strings.Repeat("█", 39), ""}
	w.await("the last picture is there", func() bool { return strings.Join(strings.Split(seen.last(), "\n"), "|") == strings.Join(want, "|") })
}

// screenText is what was written to a terminal.
type screenText struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *screenText) from(f *os.File) (int, error) {
	b := make([]byte, 4096)
	for {
		n, err := f.Read(b)
		s.mu.Lock()
		s.all.Write(b[:n])
		s.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
}

// last is the last picture.
func (s *screenText) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.all.String()
	if i := strings.LastIndex(out, "\x1b[J"); i >= 0 {
		out = out[i+len("\x1b[J"):]
	}
	return strings.ReplaceAll(out, "\r\n", "\n")
}
