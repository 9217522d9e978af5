package controllers_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// template has the claim of a download made, of a size unless that is "".
func template(size string) func(*v1alpha1.TorrentDownload) {
	return func(td *v1alpha1.TorrentDownload) {
		td.Spec.Volume = v1alpha1.Volume{ClaimTemplate: &v1alpha1.ClaimTemplate{}}
		if size != "" {
			td.Spec.Volume.ClaimTemplate.Size = ptr.To(resource.MustParse(size))
		}
	}
}

// claimOf waits until the claim of the download "a" is as ok wants it.
func (b *bench) claimOf(what string, ok func(*corev1.PersistentVolumeClaim) bool) *corev1.PersistentVolumeClaim {
	b.Helper()
	pvc := &corev1.PersistentVolumeClaim{}
	b.await("the claim "+what, func() bool {
		err := b.Get(b.Context(), client.ObjectKey{Namespace: b.ns, Name: "a"}, pvc)
		if client.IgnoreNotFound(err) != nil {
			b.Fatal(err)
		}
		return err == nil && ok(pvc)
	})
	return pvc
}

func there(*corev1.PersistentVolumeClaim) bool { return true }

func TestClaimIsMadeFromItsTemplate(t *testing.T) {
	b := newBench(t)
	id := b.download("a", template("1Gi"), func(td *v1alpha1.TorrentDownload) {
		td.Spec.Volume.ClaimTemplate.StorageClassName = ptr.To("")
		td.Spec.Volume.ClaimTemplate.AccessModes = []v1alpha1.AccessMode{v1alpha1.ReadWriteOncePod}
	})
	b.runs(id, "in its claim", func(r download.Request) bool { return !r.ResolveOnly && r.Volume.ClaimName == "a" })
	pvc := b.claimOf("is there", there)
	if got := pvc.Spec.Resources.Requests.Storage().String(); got != "1Gi" {
		t.Errorf("it asks for %s", got)
	}
	if *pvc.Spec.StorageClassName != "" || pvc.Spec.AccessModes[0] != corev1.ReadWriteOncePod || len(pvc.OwnerReferences) != 0 {
		t.Errorf("it is %+v with owners %v", pvc.Spec, pvc.OwnerReferences)
	}
	if got := b.get("a").Status.Volume.ClaimName; got != "a" {
		t.Errorf("status.volume.claimName is %q", got)
	}
}

func TestClaimIsMadeOnceItsSizeIsKnown(t *testing.T) {
	b := newBench(t)
	id := b.download("a", template(""))
	b.runs(id, "without a volume", func(r download.Request) bool { return r.ResolveOnly })
	b.fake.Set(id, snapshot(download.StateWaiting, 0))
	pvc := b.claimOf("is there", there)
	if got := pvc.Spec.Resources.Requests.Storage().Value(); got < 1000<<20 || got > 1300<<20 {
		t.Errorf("for 1000 MiB it asks for %d bytes", got)
	}
	b.runs(id, "with it", func(r download.Request) bool { return !r.ResolveOnly })
}

func TestClaimFollowsThePolicy(t *testing.T) {
	b := newBench(t)
	id := b.download("a", template("1Gi"), erased)
	pvc := b.claimOf("goes with the object", func(pvc *corev1.PersistentVolumeClaim) bool { return len(pvc.OwnerReferences) == 1 })
	if o := pvc.OwnerReferences[0]; string(o.UID) != id.UID || o.Kind != "TorrentDownload" || o.APIVersion != "torrent-operator.io/v1alpha1" || o.Name != "a" {
		t.Errorf("its owner is %+v", o)
	}
	if f := b.get("a").Finalizers; len(f) != 0 {
		t.Errorf("finalizers %v though the claim goes by itself", f)
	}
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
	b.claimOf("stays", func(pvc *corev1.PersistentVolumeClaim) bool { return len(pvc.OwnerReferences) == 0 })
	b.change("a", erased)
	b.claimOf("goes again", func(pvc *corev1.PersistentVolumeClaim) bool { return len(pvc.OwnerReferences) == 1 })
}

func TestForeignClaimIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.claim("a")
	b.download("a", template("5Gi"), erased)
	b.says(b.stands("a", status.FailedStatus, "ClaimConflict"), "PersistentVolumeClaim a")
	pvc := b.claimOf("is there", there)
	if pvc.Spec.Resources.Requests.Storage().String() != "1Gi" || len(pvc.OwnerReferences) != 0 {
		t.Errorf("it was changed: %+v", pvc)
	}
}

func TestQuotaThatRefusesTheClaimIsTold(t *testing.T) {
	b := newBench(t)
	none := corev1.ResourceList{corev1.ResourcePersistentVolumeClaims: resource.MustParse("1")} // "datasets" is there.
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
	b.create(quota)
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none} // Nothing else counts here.
	if err := b.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	b.download("a", template("1Gi"))
	b.says(b.stands("a", status.FailedStatus, "QuotaExceeded"), "ResourceQuota")
	b.remove(quota)
	b.annotate(v1alpha1.AnnotationRetryRequestedAt, "now")
	b.claimOf("is there", there)
}

func TestClaimGrows(t *testing.T) {
	b := newBench(t)
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "grows-"}, Provisioner: "example.org/none", AllowVolumeExpansion: ptr.To(true),
	}
	if err := b.Create(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	b.download("a", template("1Gi"), func(td *v1alpha1.TorrentDownload) { td.Spec.Volume.ClaimTemplate.StorageClassName = &class.Name })
	pvc := b.claimOf("is there", there)
	pvc.Status.Phase, pvc.Status.Capacity = corev1.ClaimBound, pvc.Spec.Resources.Requests
	if err := b.Status().Update(t.Context(), pvc); err != nil {
		t.Fatal(err)
	}
	b.change("a", func(td *v1alpha1.TorrentDownload) {
		td.Spec.Volume.ClaimTemplate.Size = ptr.To(resource.MustParse("3Gi"))
	})
	b.claimOf("asks for more", func(pvc *corev1.PersistentVolumeClaim) bool {
		return pvc.Spec.Resources.Requests.Storage().String() == "3Gi"
	})
}
