package inproc

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// A claim that is deleted and made again under its name is another volume:
// the old one may be somebody else's by now.
func TestAClaimThatIsMadeAgainIsAnotherVolume(t *testing.T) {
	w := newWorld(t)
	r := w.request("a")
	r.Volume.ClaimUID = "uid-of-" + claim
	r.Seeding.Policy = download.SeedForever
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)

	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claim}}
	if err := w.api.Delete(t.Context(), pvc); err != nil {
		t.Fatal(err)
	}
	w.volume = filepath.Join(w.root, "another")
	if err := os.Mkdir(w.volume, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := hostPath(w.volume)
	spec.ClaimRef = &corev1.ObjectReference{Namespace: namespace, Name: claim, UID: "another"}
	w.create(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-another"}, Spec: spec})
	w.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claim, UID: "another"},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-another"},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	})
	r.Volume.ClaimUID = "another"
	w.ensure("a", r)
	w.awaitState("a", download.StateSeeding)
	if _, intact := w.data("a", r); !intact {
		t.Error("the data is not in the volume of the new claim")
	}
}
