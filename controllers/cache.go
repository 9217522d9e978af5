package controllers

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// CacheOptions say what a manager's cache is to hold of the objects that the
// controller watches. They are all of the cluster's, and whoever may make one
// may write a quarter of a mebibyte of annotations into it.
func CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.TorrentDownload{}:     {Transform: lean},
		&corev1.PersistentVolumeClaim{}: {Transform: lean},
		&corev1.ConfigMap{}:             {Transform: lean},
	}
}

// lean takes out of an object what nobody looks at: who manages which of its
// fields, and the annotations that ask for nothing. A patch of one that came from
// the cache leaves those as they are.
func lean(in any) (any, error) {
	o, ok := in.(client.Object)
	if !ok {
		return in, nil
	}
	o.SetManagedFields(nil)
	annotations := o.GetAnnotations()
	maps.DeleteFunc(annotations, func(key, _ string) bool {
		return key != v1alpha1.AnnotationRetryRequestedAt && key != v1alpha1.AnnotationVerifyRequestedAt && key != v1alpha1.AnnotationSkipCleanup
	})
	o.SetAnnotations(annotations)
	return in, nil
}
