package podexec

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// byUID is the index of the cache by the download that an object is made for.
const byUID = "uid"

// CacheOptions say what of the objects that are made for downloads a manager's
// cache is to hold: nobody else's, and of each what a decision looks at.
func CacheOptions() map[client.Object]cache.ByObject {
	ours := labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, labelComponent: component})
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}:         {Label: ours, Transform: lean},
		&batchv1.Job{}:        {Label: ours, Transform: lean},
		&appsv1.StatefulSet{}: {Label: ours, Transform: lean},
		&corev1.Service{}:     {Label: ours, Transform: lean},
	}
}

// lean is slim for a cache.
func lean(in any) (any, error) {
	if o, ok := in.(client.Object); ok {
		slim(o)
	}
	return in, nil
}

// slim takes out of an object what nobody looks at: there may be thousands.
func slim(o client.Object) {
	o.SetManagedFields(nil)
	annotations := o.GetAnnotations()
	maps.DeleteFunc(annotations, func(key, _ string) bool {
		return key != annotationName && key != annotationPath && key != annotationRelease
	})
	o.SetAnnotations(annotations)
	switch o := o.(type) {
	case *corev1.Pod:
		keep := corev1.PodSpec{NodeName: o.Spec.NodeName}
		for i := range o.Spec.Containers {
			if c := &o.Spec.Containers[i]; c.Name == container {
				keep.Containers = []corev1.Container{{Name: c.Name, Image: c.Image, Ports: c.Ports}}
			}
		}
		o.Spec = keep
	case *batchv1.Job:
		o.Spec = batchv1.JobSpec{}
	case *appsv1.StatefulSet:
		o.Spec = appsv1.StatefulSetSpec{}
	}
}

// SetupWithManager has the manager run the executor while it leads, and tell it
// of changes. It is called once, before the manager starts.
func (x *Executor) SetupWithManager(mgr ctrl.Manager) error {
	ctx := context.Background()
	for _, o := range []client.Object{&corev1.Pod{}, &batchv1.Job{}} {
		err := mgr.GetFieldIndexer().IndexField(ctx, o, byUID, func(o client.Object) []string { return []string{o.GetLabels()[labelUID]} })
		if err != nil {
			return fmt.Errorf("indexing what is made for downloads: %w", err)
		}
	}
	for _, o := range []client.Object{&corev1.Pod{}, &batchv1.Job{}, &appsv1.StatefulSet{}, &corev1.Service{}} {
		informer, err := mgr.GetCache().GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching what is made for downloads: %w", err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    x.changed,
			UpdateFunc: func(_, o any) { x.changed(o) },
			DeleteFunc: x.changed,
		})
		if err != nil {
			return fmt.Errorf("watching what is made for downloads: %w", err)
		}
	}
	return mgr.Add(x)
}

// changed looks after the download of an object that has changed. A replica
// that does not lead has nothing to look after.
func (x *Executor) changed(in any) {
	if last, gone := in.(toolscache.DeletedFinalStateUnknown); gone {
		in = last.Obj
	}
	o, ok := in.(client.Object)
	if !ok || !x.Leads() {
		return
	}
	if id, ours := idOf(o); ours {
		x.queue.Add(id)
	}
}
