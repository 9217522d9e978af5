package podexec

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// domain begins the labels and annotations that are the operator's own.
const domain = "torrent-operator.io/"

// What every object that is made for a download carries. The name of a
// TorrentDownload may be too long for a label.
const (
	labelUID       = domain + "uid"     // Of the TorrentDownload.
	labelTask      = domain + "task"    // A report.Task.
	labelAttempt   = domain + "attempt" // Of a Job, and of its Pod.
	annotationName = domain + "name"    // Of the TorrentDownload.

	// What carries out an order tells where it has its data.
	labelClaim     = domain + "claim" // As claimLabel says.
	annotationPath = domain + "path"  // Below the root of the claim.

	// annotationRelease tells what the Pod of a Job or seeder is made of besides
	// its order.
	annotationRelease = domain + "release"

	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"

	component = "worker"
)

// maxName and maxUID are how much of a download's name and UID the names of its
// objects hold, so that those of their Pods have room for more.
const (
	maxName = 40
	maxUID  = 8
)

// baseName begins the names of all objects of a download: its Secret and its
// StatefulSet are named so. It is a DNS label, because the name of a Pod of a
// StatefulSet is its host name.
func baseName(id download.ID) string {
	name := strings.ReplaceAll(id.Name, ".", "-")
	name = strings.Trim(name[:min(len(name), maxName)], "-")
	return name + "-" + strings.Trim(id.UID[:min(len(id.UID), maxUID)], "-")
}

// jobName names the Job of an attempt.
func jobName(id download.ID, attempt int) string {
	return baseName(id) + "-" + strconv.Itoa(attempt)
}

// eraseName names the Job that removes a download's data.
func eraseName(id download.ID) string { return baseName(id) + "-erase" }

// serviceName names the Service for peers from outside. Such a name begins
// with a letter.
func serviceName(id download.ID) string { return "peers-" + baseName(id) }

// meta is the metadata of an object that is made for a download. The object
// goes with the TorrentDownload.
func meta(id download.ID, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: id.Namespace, Name: name,
		Labels: map[string]string{
			labelUID: id.UID, labelName: v1alpha1.ManagedBy, labelInstance: baseName(id), labelComponent: component,
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		},
		Annotations:     map[string]string{annotationName: id.Name},
		OwnerReferences: []metav1.OwnerReference{v1alpha1.OwnedBy(id.Name, types.UID(id.UID))},
	}
}

// claimLabel is the name of a claim as the value of a label. One that is too
// long for that ends in a hash.
func claimLabel(claim string) string {
	if len(claim) <= validation.LabelValueMaxLength {
		return claim
	}
	sum := sha256.Sum256([]byte(claim))
	end := "-" + hex.EncodeToString(sum[:8])
	return claim[:validation.LabelValueMaxLength-len(end)] + end
}

// idOf is the download for which an object was made; false if it is none of
// ours.
func idOf(o client.Object) (download.ID, bool) {
	id := download.ID{Namespace: o.GetNamespace(), Name: o.GetAnnotations()[annotationName], UID: o.GetLabels()[labelUID]}
	return id, id.Name != "" && id.UID != ""
}

// attemptOf is the number of the attempt that an object belongs to; 0 for
// seeders and erasers.
func attemptOf(o client.Object) int {
	n, err := strconv.Atoi(o.GetLabels()[labelAttempt])
	if err != nil {
		return 0
	}
	return n
}

func taskOf(o client.Object) report.Task { return report.Task(o.GetLabels()[labelTask]) }

// terminal says that nothing of a Pod runs any more, nor will again.
func terminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// belongs says whether a Pod is the one that an object made.
func belongs(p *corev1.Pod, owner client.Object) bool {
	ref := metav1.GetControllerOf(p)
	return ref != nil && owner.GetUID() != "" && ref.UID == owner.GetUID()
}
