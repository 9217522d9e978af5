//go:build e2e

package pods

import (
	"errors"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	person "github.com/torrent-operator/torrent-operator/internal/client"
)

// What a worker knows is on the loopback of its Pod; the API server leads there
// who may forward ports to it, and nobody else.
func TestADownloadIsLookedAtThroughItsPod(t *testing.T) {
	w := newWorld(t)
	album := w.torrent("album", 6<<20)
	td := w.slowly(album, "256Ki")
	w.create(w.claim("data", "64Mi"), td)
	td = await(w, td, "under way in a Pod", hasProgress)
	c, err := person.New(config)
	if err != nil {
		t.Fatal(err)
	}
	look, err := c.Look(t.Context(), td)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	for range 2 { // Over one line.
		d, err := look.Detail(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := d.Progress
		if len(d.Peers) == 0 || d.Peers[0].Downloaded == 0 || len(d.Files) == 0 || d.FileCount != len(d.Files) || p.BytesVerified == 0 || p.Pieces.Have == nil {
			t.Errorf("a close look shows %+v", d)
		}
	}
	_, log, err := c.Logs(t.Context(), td, corev1.PodLogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if said, err := io.ReadAll(log); err != nil || !strings.Contains(string(said), "the download is now Downloading") {
		t.Errorf("the log is %q, %v", said, err)
	}

	viewer := rest.CopyConfig(config)
	viewer.Impersonate = rest.ImpersonationConfig{UserName: "viewer"}
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: "viewer", APIGroup: rbacv1.GroupName}},
	})
	v, err := person.New(viewer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Detail(t.Context(), td); !errors.Is(err, person.ErrNoDetail) || !strings.Contains(err.Error(), "pods/portforward") {
		t.Errorf("who may only view is told %v", err)
	}

	w.change(td, unlimited)
	td = w.mustComplete(td, "data", "album", album)
	if _, err := c.Detail(t.Context(), await(w, td, "at rest", func(td *v1alpha1.TorrentDownload) bool { return td.Status.Worker.PodName == "" })); !errors.Is(err, person.ErrNoDetail) {
		t.Errorf("a close look at what is at rest: %v", err)
	}
}
