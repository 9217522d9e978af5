package nodes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

const (
	// StorageClass makes volumes on the node of the first Pod that uses a
	// claim (WaitForFirstConsumer), and removes them with the claim. It is the
	// default. Such a volume is a folder of root's: it has no limit but the
	// disk, it cannot be expanded, and only Pods on that node can use it.
	StorageClass = "local"

	provisioner   = "torrent-operator.io/local"
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	selectedNode  = "volume.kubernetes.io/selected-node"
)

// startStorage makes the StorageClass and does what it promises, until alive
// ends.
func (c *Cluster) startStorage(ctx, alive context.Context) error {
	_, err := c.client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: StorageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner:       provisioner,
		ReclaimPolicy:     ptr.To(corev1.PersistentVolumeReclaimDelete),
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making the StorageClass: %w", err)
	}
	watched := informers.NewSharedInformerFactory(c.client, 0)
	for informer, do := range map[cache.SharedIndexInformer]func(context.Context, any) error{
		watched.Core().V1().PersistentVolumeClaims().Informer(): c.provision,
		watched.Core().V1().PersistentVolumes().Informer():      c.reclaim,
	} {
		if _, err := informer.AddEventHandler(onChange(func(object any) {
			if err := do(alive, object); err != nil && alive.Err() == nil {
				fmt.Fprintln(os.Stderr, "storage of the test cluster:", err)
			}
		})); err != nil {
			return err
		}
	}
	c.watch(alive, watched)
	return nil
}

// onChange calls f with an object that is new or has changed.
func onChange(f func(object any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{AddFunc: f, UpdateFunc: func(_, object any) { f(object) }}
}

// watch runs informers until alive ends.
func (c *Cluster) watch(alive context.Context, watched informers.SharedInformerFactory) {
	watched.Start(alive.Done())
	c.running.Go(func() {
		<-alive.Done()
		watched.Shutdown()
	})
}

// provision makes a volume for a claim for which the scheduler has chosen a
// node.
func (c *Cluster) provision(ctx context.Context, object any) error {
	claim := object.(*corev1.PersistentVolumeClaim)
	chosen := claim.Annotations[selectedNode]
	if ptr.Deref(claim.Spec.StorageClassName, "") != StorageClass || claim.Spec.VolumeName != "" || chosen == "" || claim.DeletionTimestamp != nil {
		return nil
	}
	name := "pvc-" + string(claim.UID)
	folder := c.folder(chosen, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	volume := LocalVolume(name, chosen, folder, claim.Spec.Resources.Requests[corev1.ResourceStorage])
	volume.Annotations = map[string]string{provisionedBy: provisioner}
	volume.Spec.AccessModes = claim.Spec.AccessModes
	volume.Spec.StorageClassName = StorageClass
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	volume.Spec.ClaimRef = &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
	}
	_, err := c.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// reclaim removes a volume whose claim is gone.
func (c *Cluster) reclaim(ctx context.Context, object any) error {
	volume := object.(*corev1.PersistentVolume)
	if volume.Annotations[provisionedBy] != provisioner || volume.Status.Phase != corev1.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := os.RemoveAll(volume.Spec.Local.Path); err != nil {
		return err
	}
	err := c.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// folder is where a node has a volume.
func (c *Cluster) folder(node, volume string) string {
	return filepath.Join(c.Dir, node, "volumes", volume)
}
