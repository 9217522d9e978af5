//go:build e2e

package pods

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// deployment is the operator's.
func deployment() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: system}}
}

// redeploy changes the operator's container, by a patch of it, and waits until
// all replicas run so.
func (w *world) redeploy(container string) {
	w.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"manager",%s}]}}}}`, container)
	if err := w.Patch(w.Context(), deployment(), client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
	if err := rolledOut(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// another writes the operator's image again, under another tag.
func another(t *testing.T, tag string) (name, archive string) {
	t.Helper()
	repository, _, _ := strings.Cut(operatorImage, ":")
	name, archive = repository+":"+tag, filepath.Join(t.TempDir(), tag+".tar")
	if err := writeOperator(t.Context(), archive, name); err != nil {
		t.Fatal(err)
	}
	return name, archive
}

// makeKnown makes an image known to the cluster.
func makeKnown(t *testing.T, archive string) {
	t.Helper()
	err := load(t.Context(), []string{archive})
	if own != nil {
		err = own.Load(t.Context(), archive)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestADownloadSaysThatItsImageCanNotBePulledAndGoesOnWhenItCan(t *testing.T) {
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	late, archive := another(t, "late")
	const wrong = "localhost/misspelled:e2e"
	t.Cleanup(w.reinstall)
	w.redeploy(`"args":["manager","--leader-elect","--worker-image=` + wrong + `"]`)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	w.create(w.claim("data", "64Mi"), td)
	without := func(image string) func(*v1alpha1.TorrentDownload) bool {
		return func(td *v1alpha1.TorrentDownload) bool {
			return because("ImagePullBackOff")(td) && strings.Contains(readiness(td).Message, image)
		}
	}
	td = await(w, td, "without its image", without(wrong))
	// A Pod that never ran is replaced when the operator is told a better name.
	w.redeploy(`"args":["manager","--leader-elect","--worker-image=` + late + `"]`)
	td = await(w, td, "without its right image", without(late))
	makeKnown(t, archive)
	w.mustComplete(td, "data", "album", album)
}

// reinstall brings the operator back for the tests that follow.
func (w *world) reinstall() {
	w.Helper()
	if err := install(context.Background()); err != nil {
		w.Error(err)
	}
}
