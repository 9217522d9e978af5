package controllers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

// reading is a reconciler whose reads are counted.
func reading(t *testing.T, objects ...client.Object) (r *TorrentDownloadReconciler, reads *int) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	reads = new(int)
	return &TorrentDownloadReconciler{Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			*reads++
			return c.Get(ctx, key, o, opts...)
		}}).Build()}, reads
}

func bytesIn(name string, n int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, BinaryData: map[string][]byte{"k": make([]byte, n)}}
}

func fromTorrent(credentials ...string) *v1alpha1.TorrentDownload {
	td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}
	td.Spec.Source.MetainfoFrom = &v1alpha1.MetainfoSource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "torrent", Key: "k"}}
	for i, name := range credentials {
		td.Spec.Discovery.Credentials = append(td.Spec.Discovery.Credentials, v1alpha1.Credential{
			Origin: fmt.Sprintf("https://%d", i), CABundleRef: &v1alpha1.KeyReference{Name: name, Key: "k"},
		})
	}
	return td
}

// Sixteen credentials of a mebibyte each are not held, not even while they are
// read.
func TestWhatIsReadForADownloadIsBounded(t *testing.T) {
	const torrent, rest = 300 << 10, maxRead - 300<<10
	for name, c := range map[string]struct {
		sizes   []int
		refused bool
		reads   int // Of the .torrent file, too.
	}{
		"below the limit":            {[]int{rest - 1}, false, 2},
		"at the limit":               {[]int{rest - 1000, 1000}, false, 3},
		"above the limit":            {[]int{rest, 1}, true, 3},
		"far above the limit":        {[]int{1 << 20, 1 << 20, 1 << 20, 1 << 20}, true, 2},
		"above it by the last alone": {[]int{10, 10, rest}, true, 4},
	} {
		objects := []client.Object{bytesIn("torrent", torrent)}
		var names []string
		for i, size := range c.sizes {
			names = append(names, fmt.Sprint("bundle-", i))
			objects = append(objects, bytesIn(names[i], size))
		}
		r, reads := reading(t, objects...)
		td := fromTorrent(names...)
		for _, p := range []*download.Progress{nil, {State: download.StateDownloading}} { // As it begins, and later.
			var m memory
			if p != nil {
				m.source, m.sourceSize = &download.Source{Metainfo: make([]byte, torrent)}, torrent
			}
			*reads = 0
			in, left := lifecycle.Inputs{}, allowance(maxRead)
			if err := r.readSource(t.Context(), td, p, &m, &in, &left); err != nil || in.SourceProblem != nil {
				t.Fatalf("%s: %v, %+v", name, err, in.SourceProblem)
			}
			if err := r.readCredentials(t.Context(), td, p, &m, &in, &left); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			problem := in.CredentialsProblem
			if (problem != nil) != c.refused || c.refused && (!problem.Permanent || problem.Reason != download.ReasonTooLarge || !strings.Contains(problem.Message, "bundle-")) {
				t.Errorf("%s: %+v", name, problem)
			}
			if want := c.reads - map[bool]int{true: 1}[p != nil]; *reads != want {
				t.Errorf("%s: %d reads, want %d", name, *reads, want)
			}
		}
	}
}

// What is at rest holds nothing that can be read again, unless it is needed to
// find the files that go with the object.
func TestWhatIsAtRestHoldsNoSource(t *testing.T) {
	for policy, kept := range map[v1alpha1.DeletionPolicy]bool{v1alpha1.DeletionRetain: false, v1alpha1.DeletionDelete: true} {
		m := memory{source: &download.Source{Metainfo: []byte("torrent")}, credentials: credentials{given: []download.Credential{{}}}}
		td := fromTorrent()
		td.Spec.DeletionPolicy = policy
		if m.rest(td); (m.source != nil) != kept || m.credentials.given != nil {
			t.Errorf("%s: it holds %+v", policy, m)
		}
	}
}

// Deleted together with the ConfigMap that it was made of, a download still knows
// which files go with it, whatever its executor has to say then.
func TestADeletedDownloadKnowsItsFilesWithoutItsSource(t *testing.T) {
	r, _ := reading(t)
	td := fromTorrent()
	held := download.Source{Metainfo: []byte("torrent")}
	for _, deleted := range []bool{true, false} {
		if td.DeletionTimestamp = nil; deleted {
			td.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
		}
		m := memory{source: &held, sourceSize: len(held.Metainfo)}
		in, left := lifecycle.Inputs{}, allowance(maxRead)
		if err := r.readSource(t.Context(), td, nil, &m, &in, &left); err != nil {
			t.Fatal(err)
		}
		if has := string(in.Source.Metainfo) == "torrent"; has != deleted || (in.SourceProblem == nil) != deleted || (m.source != nil) != deleted {
			t.Errorf("deleted: %v; it has %+v, %+v", deleted, in.Source, in.SourceProblem)
		}
		if want := allowance(maxRead - map[bool]int{true: len(held.Metainfo)}[deleted]); left != want {
			t.Errorf("deleted: %v; %d may be read still, want %d", deleted, left, want)
		}
	}
}

// What nobody looks at is not held, however much of it people put there.
func TestTheCacheHoldsWhatIsLookedAt(t *testing.T) {
	for o, options := range CacheOptions() {
		o.SetAnnotations(map[string]string{"much": strings.Repeat("x", 1000), v1alpha1.GroupVersion.Group + "/much": strings.Repeat("x", 1000), v1alpha1.AnnotationRetryRequestedAt: "now"})
		o.SetLabels(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
		o.SetFinalizers([]string{v1alpha1.Finalizer})
		o.SetOwnerReferences([]metav1.OwnerReference{{Kind: v1alpha1.Kind, UID: "owner"}})
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl"}})
		got, err := options.Transform(o)
		if err != nil {
			t.Fatal(err)
		}
		left := got.(client.Object)
		if a := left.GetAnnotations(); left.GetManagedFields() != nil || len(a) != 1 || a[v1alpha1.AnnotationRetryRequestedAt] != "now" {
			t.Errorf("%T holds %+v and %v", o, left.GetManagedFields(), a)
		}
		if len(left.GetLabels()) != 1 || len(left.GetFinalizers()) != 1 || len(left.GetOwnerReferences()) != 1 {
			t.Errorf("%T has lost what decisions look at: %+v", o, left)
		}
		if got, err := options.Transform("no object"); got != "no object" || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// A thousand downloads of a torrent that are at rest are nobody's neighbours.
func TestOnlyThoseThatMayRunAreNeighbours(t *testing.T) {
	td := &v1alpha1.TorrentDownload{Spec: v1alpha1.TorrentDownloadSpec{Source: v1alpha1.Source{InfoHash: "0123456789ABCDEF0123456789abcdef01234567"}}}
	of := func(change func(*v1alpha1.TorrentDownload)) []string {
		other := td.DeepCopy()
		change(other)
		return neighbourhood(other)
	}
	done := func(td *v1alpha1.TorrentDownload) {
		td.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.TorrentDownload)
		want   int
	}{
		"new":       {func(*v1alpha1.TorrentDownload) {}, 1},
		"suspended": {func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = ptr.To(true) }, 0},
		"complete":  {done, 0},
		"seeding": {func(td *v1alpha1.TorrentDownload) {
			done(td)
			td.Spec.Seeding.Policy = v1alpha1.SeedingForever
		}, 1},
		"unknown": {func(td *v1alpha1.TorrentDownload) { td.Spec.Source = v1alpha1.Source{} }, 0},
	} {
		if got := of(c.change); len(got) != c.want || c.want == 1 && got[0] != strings.ToLower(td.Spec.Source.InfoHash) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
