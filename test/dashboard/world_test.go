//go:build browser

package dashboard

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/test/freeport"
)

// world is a namespace with a claim "datasets", on a folder of this machine.
type world struct {
	*testing.T
	ns      string
	volumes string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	if err := admin.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name, volumes: t.TempDir()}
	t.Cleanup(w.leave)
	dir := filepath.Join(w.volumes, "datasets")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: w.ns},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: dir}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "datasets"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, StorageClassName: ptr.To(""), VolumeName: pv.Name, Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	for _, o := range []client.Object{pv, claim} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// leave deletes all downloads, though their operator has gone.
func (w *world) leave() {
	ctx := context.Background()
	var left v1alpha1.TorrentDownloadList
	if err := admin.List(ctx, &left, client.InNamespace(w.ns)); err != nil {
		w.Error(err)
	}
	for i := range left.Items {
		td := &left.Items[i]
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := client.IgnoreNotFound(admin.Patch(ctx, td, patch)); err != nil {
			w.Error(err)
		}
		if err := client.IgnoreNotFound(admin.Delete(ctx, td)); err != nil {
			w.Error(err)
		}
	}
}

// download reads a TorrentDownload.
func (w *world) download(name string) *v1alpha1.TorrentDownload {
	w.Helper()
	td := &v1alpha1.TorrentDownload{}
	if err := admin.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, td); err != nil {
		w.Fatal(err)
	}
	return td
}

// torrent is content of a test, and the tracker by which it is found.
type torrent struct {
	name     string
	content  []byte
	meta     *metainfo.Metainfo
	file     string // The .torrent file.
	announce string
}

const pieceLength = 16 << 10

// publish makes a torrent of so many pieces, and runs its tracker until the
// end of the test.
func publish(t *testing.T, name string, pieces int) *torrent {
	t.Helper()
	dir := t.TempDir()
	var key [32]byte
	copy(key[:], name)
	o := &torrent{name: name, content: make([]byte, pieces*pieceLength), file: filepath.Join(dir, name+".torrent")}
	rand.NewChaCha8(key).Read(o.content)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, o.content, 0o644); err != nil {
		t.Fatal(err)
	}
	// Engines ask no more often than each 10 s, and the tracker forgets whoever
	// has not asked for a little more than two intervals.
	o.announce = launch(t, "tracker", "--listen=127.0.0.1:0", "--interval=10s")
	if out, err := exec.CommandContext(t.Context(), program, "create", path, "--tracker="+o.announce, "--output="+o.file, "--piece-length=16KiB").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(o.file)
	if err != nil {
		t.Fatal(err)
	}
	if o.meta, err = metainfo.Parse(b); err != nil {
		t.Fatal(err)
	}
	return o
}

// serve runs a peer until the end of the test that has the first so many
// pieces. Whoever asks the tracker afterwards is told of it: one that asks
// earlier asks again much later.
func (o *torrent) serve(t *testing.T, pieces int) {
	t.Helper()
	dir := t.TempDir()
	content := make([]byte, len(o.content))
	copy(content, o.content[:pieces*pieceLength])
	if err := os.WriteFile(filepath.Join(dir, o.name), content, 0o644); err != nil {
		t.Fatal(err)
	}
	launch(t, "download", o.file, "--output="+dir, "--seed", "--dht=false", "--port="+strconv.Itoa(freeport.For(t)))
	// There may be more than one by then: who had a part gets the rest of it.
	unknown := "10:incompletei0e"
	if pieces*pieceLength == len(o.content) {
		unknown = "8:completei0e"
	}
	scrape := strings.TrimSuffix(o.announce, "/announce") + "/scrape?info_hash=" + url.QueryEscape(string(o.meta.InfoHash[:]))
	await(t, "the tracker knows the peer", func() bool {
		r, err := http.Get(scrape)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(b), "8:completei") && !strings.Contains(string(b), unknown)
	})
}
