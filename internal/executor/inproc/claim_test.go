package inproc

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// into asks for torrent "a" in the root of another claim.
func (w *world) into(claim string) download.Request {
	w.Helper()
	r := w.request("a")
	r.Volume = download.Volume{ClaimName: claim}
	return r
}

// local is a volume that belongs to one node.
func local(path, node string) corev1.PersistentVolumeSpec {
	return corev1.PersistentVolumeSpec{
		PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
			}},
		}}}},
	}
}

func TestAMissingClaimIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	r := w.into("later")
	w.fails("a", r, download.ReasonClaimNotFound, false, "later", namespace, "create it")
	if p := w.observe("a"); p.InfoHash != w.torrent("a").meta.InfoHash.String() || p.BytesTotal == 0 {
		t.Errorf("what the metainfo says is known without the claim: %+v", p)
	}
	dir := filepath.Join(w.root, "later")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.bind("later", hostPath(dir))
	w.awaitState("a", download.StateComplete)
}

func TestAnUnboundClaimIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	pending := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pending"},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	w.create(pending)
	w.fails("a", w.into("pending"), download.ReasonClaimPending, false, "pending", "first consumer", node)
}

func TestAVolumeOfAnotherClaimIsNotTouched(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "thief", UID: "thief"},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-" + claim},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	})
	w.fails("a", w.into("thief"), download.ReasonClaimPending, false, "pv-"+claim, "thief")
}

func TestALostClaimAsksForAPerson(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lost"},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "gone"},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimLost},
	})
	w.fails("a", w.into("lost"), download.ReasonVolumeError, false, "lost", "gone", "create the claim again")
}

func TestVolumesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	outside, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sibling := w.root + "-too" // It begins with the root's name and is not below it.
	inside, link := filepath.Join(w.root, "inside"), filepath.Join(w.root, "link")
	for _, dir := range []string{sibling, inside} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.RemoveAll(sibling) })
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	unbound := local(inside, node)
	unbound.NodeAffinity = nil
	for _, c := range []struct {
		name      string
		volume    corev1.PersistentVolumeSpec
		reason    string
		permanent bool
		says      []string
	}{
		{"csi", corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
			CSI: &corev1.CSIPersistentVolumeSource{Driver: "ebs.csi.aws.com", VolumeHandle: "vol-1"},
		}}, download.ReasonClaimNotLocal, true, []string{"pv-csi", "neither hostPath nor local"}},
		{"another-node", local(inside, "another"), download.ReasonClaimNotLocal, true, []string{"pv-another-node", "another node", node}},
		{"no-node", unbound, download.ReasonClaimNotLocal, true, []string{"pv-no-node", "no node affinity"}},
		{"outside", hostPath(outside), download.ReasonVolumeDenied, true, []string{outside, "--local-volume-root"}},
		{"dots", hostPath(w.root + "/../" + filepath.Base(sibling)), download.ReasonVolumeDenied, true, []string{sibling}},
		{"sibling", hostPath(sibling), download.ReasonVolumeDenied, true, []string{sibling}},
		{"link", hostPath(link), download.ReasonVolumeDenied, true, []string{outside}},
		{"missing", hostPath(filepath.Join(w.root, "missing")), download.ReasonVolumeError, false, []string{"pv-missing", "no such file", "create it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.bind(c.name, c.volume)
			w.fails(c.name, w.into(c.name), c.reason, c.permanent, c.says...)
		})
	}
	for _, dir := range []string{outside, sibling, inside} {
		if files := filesBelow(t, dir); len(files) > 0 {
			t.Errorf("a refused volume was written to: %v", files)
		}
	}
}

func TestVolumesThatAreTaken(t *testing.T) {
	w := newWorld(t)
	inside, link, away := filepath.Join(w.root, "inside"), filepath.Join(w.root, "link"), filepath.Join(t.TempDir(), "away")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{link: inside, away: w.root} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	for name, volume := range map[string]corev1.PersistentVolumeSpec{
		"this-node":        local(inside, node),
		"link-in-the-root": hostPath(link),
		"link-to-the-root": hostPath(filepath.Join(away, "inside")),
		"root-itself":      hostPath(w.root),
	} {
		t.Run(name, func(t *testing.T) {
			w.bind(name, volume)
			r := w.into(name)
			r.Volume.Path = name
			w.ensure(name, r)
			w.awaitState(name, download.StateComplete)
		})
	}
}

func TestANodeThatIsNotKnownIsNamed(t *testing.T) {
	w := newWorld(t)
	w.bind("elsewhere", local(w.volume, node))
	if err := w.api.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}); err != nil {
		t.Fatal(err)
	}
	w.fails("a", w.into("elsewhere"), download.ReasonInternalError, false, node, "--node-name")
}

func TestASymlinkOnTheVolumeLeadsNowhere(t *testing.T) {
	w := newWorld(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(w.volume, "trap")); err != nil {
		t.Fatal(err)
	}
	r := w.request("a")
	r.Volume.Path = "trap/below"
	w.ensure("a", r)
	p := w.awaitState("a", download.StateFailed)
	if p.Err == nil || p.Err.Message == "" {
		t.Errorf("failed with %+v", p.Err)
	}
	if files := filesBelow(t, outside); len(files) > 0 {
		t.Errorf("written outside of the volume: %v", files)
	}
}
