package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Kind is that of a TorrentDownload.
const Kind = "TorrentDownload"

// What the operator makes has the label LabelManagedBy of the value ManagedBy.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "torrent-operator"
)

// OwnedBy makes an object go with the TorrentDownload of a name and UID. It does
// not block the deletion of that one, which would need further rights.
func OwnedBy(name string, uid types.UID) metav1.OwnerReference {
	controls := true
	return metav1.OwnerReference{APIVersion: GroupVersion.String(), Kind: Kind, Name: name, UID: uid, Controller: &controls}
}

// TorrentDownload is one torrent that is wanted on a volume. The operator
// fetches it from its peers, verifies every piece, keeps the result in the
// claim, and says in the status how far it is and what a person can do when
// it does not go on.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=td,categories=torrents
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the download is complete and durable."
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="What the download is doing, or why it does not go on."
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`,description="How far the download is."
// +kubebuilder:printcolumn:name="Peers",type=integer,JSONPath=`.status.peers.connected`,description="Peers connected now."
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.status.volume.claimName`,description="The claim that holds the data."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the object was created."
// +kubebuilder:printcolumn:name="Node",type=string,priority=1,JSONPath=`.status.worker.nodeName`,description="Where the download runs."
// +kubebuilder:printcolumn:name="InfoHash",type=string,priority=1,JSONPath=`.status.infoHash.v1`,description="The torrent's v1 info hash."
// +kubebuilder:printcolumn:name="Pieces",type=integer,priority=1,JSONPath=`.status.pieces.verified`,description="Pieces verified so far."
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,description="What a person can do about it."
// +kubebuilder:selectablefield:JSONPath=`.status.volume.claimName`
// +kubebuilder:selectablefield:JSONPath=`.status.infoHash.v1`
// +kubebuilder:selectablefield:JSONPath=`.status.worker.nodeName`
type TorrentDownload struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard metadata of every Kubernetes object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says what is wanted.
	// +required
	Spec TorrentDownloadSpec `json:"spec,omitzero"`

	// status says how far it is. The operator writes it.
	// +kubebuilder:default={observedGeneration:-1}
	// +optional
	Status TorrentDownloadStatus `json:"status,omitzero"`
}

// TorrentDownloadList is a list of TorrentDownloads.
//
// +kubebuilder:object:root=true
type TorrentDownloadList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard metadata of every Kubernetes list.
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the TorrentDownloads.
	// +required
	Items []TorrentDownload `json:"items"`
}
