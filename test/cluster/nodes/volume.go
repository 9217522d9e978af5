package nodes

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LocalVolume is a PersistentVolume in a folder of a node, for one Pod at a
// time and without a class, such as the folder that [Node.AddDisk] returns. It
// is for the caller to create.
func LocalVolume(name, node, folder string, size resource.Quantity) *corev1.PersistentVolume {
	v := volume(name, size, corev1.ReadWriteOnce, corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: folder}})
	v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		}},
	}}}}
	return v
}

// SharedVolume is a PersistentVolume in a folder of this machine that many Pods
// may use at once, on every node, as a network volume may be. Its owner and
// rights are never changed. It is for the caller to create.
func SharedVolume(name, folder string, size resource.Quantity) *corev1.PersistentVolume {
	return volume(name, size, corev1.ReadWriteMany, corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}})
}

func volume(name string, size resource.Quantity, mode corev1.PersistentVolumeAccessMode, from corev1.PersistentVolumeSource) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{mode},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        from,
		},
	}
}
