//go:build e2e

package pods

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// helmEnv names the program; "make e2e" builds it.
const helmEnv = "HELM"

// helm runs Helm on the release that is called as the operator is in config/,
// and returns when all of it is ready.
func (w *world) helm(command string, args ...string) {
	w.Helper()
	program := os.Getenv(helmEnv)
	if program == "" {
		w.Fatalf("%s names no program: run this by make e2e", helmEnv)
	}
	args = append([]string{command, account, "--kubeconfig", kubeconfig, "--namespace", system, "--wait", "--timeout", patience.String()}, args...)
	if out, err := exec.CommandContext(w.Context(), program, args...).CombinedOutput(); err != nil {
		w.Fatalf("helm %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// uninstall has Helm take all of it away, the operator's rights too, while its
// Pods are still about to end.
func (w *world) uninstall(args ...string) {
	w.Helper()
	from := time.Now()
	w.helm("uninstall", args...)
	w.awaitNoOperator()
	withoutRights = append(withoutRights, span{from, time.Now()})
}

// chart are the arguments that install the chart with an image. They change
// none of the other defaults.
func chart(image string) []string {
	name, tag, _ := strings.Cut(image, ":")
	return []string{"../../charts/torrent-operator", "--set", "image.repository=" + name, "--set", "image.tag=" + tag}
}

// first is the TorrentDownload that the README has people begin with, of a
// torrent that can be had here.
func (w *world) first(t *torrent) *v1alpha1.TorrentDownload {
	w.Helper()
	content, err := os.ReadFile("../../config/samples/smallest.yaml")
	if err != nil {
		w.Fatal(err)
	}
	td := &v1alpha1.TorrentDownload{}
	if err := yaml.UnmarshalStrict(content, td); err != nil {
		w.Fatal(err)
	}
	td.Spec.Source = w.download(td.Name, t, td.Spec.Volume).Spec.Source
	return td
}

// Helm takes over what kustomize has installed, as docs/install.md says, and at
// the end that is installed again.
func TestTheChartInstallsUpgradesRollsBackAndLeavesDataBehind(t *testing.T) {
	w := newWorld(t)
	next, archive := another(t, "chart")
	makeKnown(t, archive)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "64Ki")
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way", hasProgress)
	defer w.reinstall()
	defer w.uninstall("--ignore-not-found")
	if _, err := control(t.Context(), "delete", "deployment", account, "--namespace="+system); err != nil {
		t.Fatal(err)
	}
	w.helm("install", append(chart(operatorImage), "--take-ownership")...)
	w.helm("upgrade", append(chart(next), "--set", "settings.logLevel=debug")...)
	w.helm("rollback", "1")
	w.mustCompleteInItsPod(td, "data", "album", album)

	w.uninstall()
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(deployment()), deployment()); !apierrors.IsNotFound(err) {
		t.Errorf("after the operator was uninstalled, its Deployment is there: %v", err)
	}
	for _, kept := range []client.Object{
		td,
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "data"}},
	} {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err != nil || !kept.GetDeletionTimestamp().IsZero() {
			t.Errorf("after the operator was uninstalled, %T %s is gone: %v", kept, kept.GetName(), err)
		}
	}

	w.helm("install", chart(operatorImage)...)
	first := w.first(album)
	w.create(w.claim(first.Spec.Volume.ClaimName, "64Mi"), first)
	w.mustComplete(first, first.Spec.Volume.ClaimName, "album", album)
}
