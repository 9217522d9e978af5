package controllers_test

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func erased(td *v1alpha1.TorrentDownload) { td.Spec.DeletionPolicy = v1alpha1.DeletionDelete }

// running creates the download "a" and lets it get somewhere.
func (b *bench) running(changes ...func(*v1alpha1.TorrentDownload)) download.ID {
	b.Helper()
	id := b.download("a", changes...)
	b.runs(id, "at first", anyhow)
	b.fake.Set(id, snapshot(download.StateDownloading, 10))
	b.stands("a", status.InProgressStatus, "Downloading")
	return id
}

// gone waits until an object and its download are gone, and returns how the
// data was disposed of at last.
func (b *bench) gone(id download.ID) download.Disposal {
	b.Helper()
	b.await(id.Name+" is gone", func() bool { return b.get(id.Name) == nil })
	b.stops(id)
	for _, c := range b.fake.Calls() {
		if c.Method == "Stop" && c.ID == id && c.Disposal == download.Erase {
			return download.Erase
		}
	}
	return download.Keep
}

func TestRetainKeepsTheDataAndNeedsNoFinalizer(t *testing.T) {
	b := newBench(t)
	id := b.running()
	if f := b.get("a").Finalizers; len(f) != 0 {
		t.Errorf("finalizers %v", f)
	}
	b.remove(b.get("a"))
	if b.gone(id) != download.Keep {
		t.Error("the data was erased")
	}
}

func TestDeleteErasesBeforeTheObjectGoes(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	if f := b.get("a").Finalizers; !slices.Equal(f, []string{v1alpha1.Finalizer}) {
		t.Errorf("finalizers %v", f)
	}
	b.remove(b.get("a"))
	if b.gone(id) != download.Erase {
		t.Error("the data was kept")
	}
	for _, c := range b.fake.Calls() {
		if c.Disposal == download.Erase && (c.Request.Source.URL == nil || c.Request.Volume.Path != "a") {
			t.Errorf("the request does not say where the data is: %+v", c.Request)
		}
	}
	b.await("it is told", func() bool { return b.events("a")["DataErased"] == 1 })
}

func TestFinalizerGoesWithThePolicy(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
	b.await("the finalizer is gone", func() bool { return len(b.get("a").Finalizers) == 0 })
	b.stands("a", status.InProgressStatus, "Downloading")
	b.remove(b.get("a"))
	if b.gone(id) != download.Keep {
		t.Error("the data was erased")
	}
}

func TestCleanupThatFailsSaysSoAndCanBeSkipped(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	b.fake.Fail("Stop", errors.New("the volume hangs"))
	b.remove(b.get("a"))
	td := b.stands("a", status.TerminatingStatus, "Deleting")
	b.says(td, v1alpha1.AnnotationSkipCleanup)
	b.await("it is told", func() bool { return b.events("a")["CleanupFailed"] > 0 })

	b.annotate(v1alpha1.AnnotationSkipCleanup, "true")
	b.fake.Fail("Stop", nil)
	b.gone(id)
	b.await("it is told", func() bool { e := b.events("a"); return e["CleanupSkipped"]+e["DataErased"] == 1 })
}

func TestCleanupSkipped(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	b.annotate(v1alpha1.AnnotationSkipCleanup, "true")
	b.remove(b.get("a"))
	if b.gone(id) != download.Keep {
		t.Error("the data was erased")
	}
	b.await("it is told", func() bool { return b.events("a")["CleanupSkipped"] == 1 })
}

func TestClaimThatGoesTooLetsTheObjectGo(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	// A claim has a finalizer of its own, which nobody removes here.
	b.remove(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "datasets"}})
	b.says(b.stands("a", status.InProgressStatus, "ClaimNotFound"), "being deleted")
	b.stops(id)
	b.remove(b.get("a"))
	if b.gone(id) != download.Keep {
		t.Error("something was erased in a claim that goes")
	}
	b.await("it is told", func() bool { return b.events("a")["CleanupSkipped"] == 1 })
}

func TestNamespaceThatGoesTooLetsTheObjectGo(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	b.remove(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.ns}})
	b.remove(b.get("a"))
	if b.gone(id) != download.Keep {
		t.Error("something was erased in a namespace that goes")
	}
}

func TestSuspendedDownloadIsErasedToo(t *testing.T) {
	b := newBench(t)
	id := b.running(erased)
	yes := true
	b.change("a", func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = &yes })
	b.stands("a", status.InProgressStatus, "Suspended")
	b.remove(b.get("a"))
	if b.gone(id) != download.Erase {
		t.Error("the data was kept")
	}
}

func TestTwoOfTheSameFilesAreErasedTogether(t *testing.T) {
	b := newBench(t)
	same := func(td *v1alpha1.TorrentDownload) { erased(td); td.Spec.Volume.Path = "same" }
	a := b.running(same)
	b.download("b", same)
	second := download.ID{Namespace: b.ns, Name: "b", UID: string(b.get("b").UID)}
	b.await("b is asked to resolve", func() bool { _, running := b.fake.Request(second); return running })
	b.fake.Set(second, snapshot(download.StateWaiting, 0))
	b.stands("b", status.FailedStatus, "PathConflict")
	b.fake.Fail("Stop", errors.New("not yet")) // So that each is there when the other one is deleted.
	b.remove(b.get("a"))
	b.remove(b.get("b"))
	b.stands("a", status.TerminatingStatus, "Deleting")
	b.fake.Fail("Stop", nil)
	if b.gone(a) != download.Erase {
		t.Error("the data was left to the other one, which goes too")
	}
}
