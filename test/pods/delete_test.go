//go:build e2e

package pods

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// awaitNothingOf waits until nothing is there that was made for a download.
func (w *world) awaitNothingOf(td *v1alpha1.TorrentDownload) {
	w.Helper()
	for _, list := range []client.ObjectList{
		&batchv1.JobList{}, &appsv1.StatefulSetList{}, &corev1.PodList{}, &corev1.SecretList{}, &corev1.ServiceList{},
	} {
		if err := w.List(w.Context(), list, client.InNamespace(w.ns), client.MatchingLabels{"torrent-operator.io/uid": string(td.UID)}); err != nil {
			w.Fatal(err)
		}
		if err := meta.EachListItem(list, func(o runtime.Object) error {
			w.awaitGone(o.(client.Object))
			return nil
		}); err != nil {
			w.Fatal(err)
		}
	}
}

// inEachState makes a download in each state in which one may be deleted, with
// folders of their own in claim "data", and waits until they are in it.
func (w *world) inEachState(policy v1alpha1.DeletionPolicy) []*v1alpha1.TorrentDownload {
	w.Helper()
	album := w.torrent("album", 16<<20)
	w.create(w.claim("data", "256Mi"))
	slow := func(spec *v1alpha1.TorrentDownloadSpec) {
		spec.Limits.DownloadBytesPerSecond, spec.Network.Service = quantity("64Ki"), v1alpha1.ServiceNodePort
	}
	var all []*v1alpha1.TorrentDownload
	there := map[*v1alpha1.TorrentDownload]func(*v1alpha1.TorrentDownload) bool{}
	for state, s := range map[string]struct {
		spec  func(*v1alpha1.TorrentDownloadSpec)
		there func(*v1alpha1.TorrentDownload) bool
	}{
		"waiting": {func(spec *v1alpha1.TorrentDownloadSpec) { spec.Volume.ClaimName = "missing" }, because(download.ReasonClaimNotFound)},
		"resolving": {func(spec *v1alpha1.TorrentDownloadSpec) {
			spec.Source = v1alpha1.Source{InfoHash: strings.Repeat("5", 40)}
			spec.Discovery.Trackers = []string{"http://tracker." + w.ns + ".svc:6969/announce"}
		}, because(v1alpha1.ReasonResolving)},
		"downloading": {slow, hasProgress},
		"suspended":   {func(spec *v1alpha1.TorrentDownloadSpec) { spec.Suspend = ptr.To(true) }, because(v1alpha1.ReasonSuspended)},
		"retrying": {func(spec *v1alpha1.TorrentDownloadSpec) {
			spec.Source = v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "http://tracker." + w.ns + ".svc:6969/nothing"}}
		}, because(v1alpha1.ReasonRetrying)},
		"failed": {func(spec *v1alpha1.TorrentDownloadSpec) {
			spec.Verification.InfoHash = strings.Repeat("5", 40)
		}, because(download.ReasonInfoHashMismatch)},
		"seeding": {func(spec *v1alpha1.TorrentDownloadSpec) {
			spec.Seeding.Policy = v1alpha1.SeedingForever
		}, is(v1alpha1.ConditionSeeding)},
	} {
		td := w.download(state, album, v1alpha1.Volume{ClaimName: "data", Path: state})
		td.Spec.DeletionPolicy = policy
		s.spec(&td.Spec)
		w.create(td)
		all = append(all, td)
		there[td] = s.there
	}
	for td, is := range there { // Now that all of them are on their way.
		await(w, td, td.Name, is)
	}
	return all
}

func TestADownloadCanBeDeletedInEachState(t *testing.T) {
	t.Parallel()
	for _, policy := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionRetain, v1alpha1.DeletionDelete} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			all := w.inEachState(policy)
			for _, td := range all {
				if err := w.Delete(t.Context(), td); err != nil {
					t.Fatal(err)
				}
			}
			for _, td := range all {
				w.awaitGone(td)
				w.awaitNothingOf(td)
			}
			reader := w.pod("reader", "sum", "/data")
			mountClaim(&reader.Spec, "/data", "data")
			w.create(reader)
			if left := w.said(reader); (left != "") != (policy == v1alpha1.DeletionRetain) {
				t.Errorf("with %s the claim holds\n%s", policy, left)
			}
		})
	}
}

func TestADownloadGoesByItselfAfterItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 3<<20)
	td := w.download("album", album, v1alpha1.Volume{ClaimName: "data"})
	td.Spec.TTLSecondsAfterFinished = ptr.To(int32(1))
	w.create(w.claim("data", "64Mi"), td)
	// What is not there yet would be gone too.
	await(w, td, "taken in", func(td *v1alpha1.TorrentDownload) bool { return len(td.Status.Conditions) > 0 })
	w.awaitGone(td)
	w.mustHold("data", "album", album)
}

func TestANamespaceCanBeDeletedWhileDownloadsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inEachState(v1alpha1.DeletionDelete)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}
	if err := w.Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w.awaitGone(ns)
}
