package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// TestAnOperatorForNamedNamespacesNeedsRightsInNoOther has an operator of its
// own account, bound as config/namespaced binds it.
func TestAnOperatorForNamedNamespacesNeedsRightsInNoOther(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	const narrow = "narrow"
	control := func(args ...string) string {
		t.Helper()
		out, err := plane.Kubectl(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	subject := "--serviceaccount=" + system + ":" + narrow
	control("create", "serviceaccount", narrow, "--namespace="+system)
	control("apply", "-f", "../../config/namespaced/cluster_role.yaml")
	control("create", "clusterrolebinding", narrow, "--clusterrole=torrent-operator-cluster", subject)
	control("create", "rolebinding", narrow, "--clusterrole=torrent-operator", subject, "--namespace="+w.ns)
	own := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.WriteKubeconfig(own, control("create", "token", narrow, "--namespace="+system)); err != nil {
		t.Fatal(err)
	}

	op := startOperator(t, w.volumes, "--kubeconfig="+own, "--watch-namespaces="+w.ns)
	o := newTorrent(t, "dataset", 1<<20)
	seed := o.seed(t)
	other.download("dataset", o.file, from(seed))
	w.download("dataset", o.file, from(seed))
	w.completes("dataset")
	o.compare(t, w.folder("dataset"))
	if td := other.get("dataset"); td.Status.ObservedGeneration > 0 || len(td.Finalizers) > 0 {
		t.Errorf("it works in a namespace that is not its own: %+v", td.Status)
	}
	w.change("dataset", func(td *v1alpha1.TorrentDownload) { td.Spec.DeletionPolicy = v1alpha1.DeletionDelete })
	w.remove("dataset")
	if strings.Contains(op.logged(), "forbidden") {
		t.Errorf("it lacks a right:\n%s", op.logged())
	}
}
