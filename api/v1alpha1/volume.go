package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// Volume is where the data of a download goes. A download does not move, so
// claim and path can't be changed.
//
// +kubebuilder:validation:ExactlyOneOf=claimName;claimTemplate
// +kubebuilder:validation:XValidation:rule="has(self.claimName) == has(oldSelf.claimName) && (!has(self.claimName) || self.claimName == oldSelf.claimName)",message="claimName can't be changed: a download does not move; create another TorrentDownload for the other claim"
// +kubebuilder:validation:XValidation:rule="has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path)",message="path can't be changed: a download does not move; create another TorrentDownload for the other path"
type Volume struct {
	// claimName is the name of an existing PersistentVolumeClaim in this
	// namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="claimName must be the name of a PersistentVolumeClaim: lower-case letters, digits, '-' and '.'"
	// +optional
	ClaimName string `json:"claimName,omitempty"`

	// claimTemplate has the operator make a PersistentVolumeClaim of the name
	// of this object; {} is enough. Whether it goes with this object says
	// deletionPolicy.
	// +optional
	ClaimTemplate *ClaimTemplate `json:"claimTemplate,omitempty"`

	// path is the folder of the claim below which the torrent's files are
	// placed, for example imagenet/2012. It is made if it does not exist.
	// Without it they are placed in the claim's root.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/')",message="path must be relative to the root of the claim: remove the leading '/'"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') || self.split('/').all(s, s != '' && s != '.' && s != '..')",message="path must name a folder below the root of the claim: no '..', no '.', no '//' and no '/' at its end (leave path out for the root)"
	// +kubebuilder:validation:XValidation:rule="self.split('/').all(s, bytes(s).size() <= 255) && bytes(self).size() <= 1024 && !self.matches('[\\x00-\\x1f\\x7f]')",message="path must have names of at most 255 bytes and 1024 bytes in all, without control characters"
	// +optional
	Path string `json:"path,omitempty"`

	// preallocate reserves the space of the wanted files before the first byte is
	// fetched, so that a claim that is too small is noticed at once. Without
	// it the files are sparse and grow as pieces arrive.
	// +optional
	Preallocate *bool `json:"preallocate,omitempty"`
}

// ClaimTemplate is a PersistentVolumeClaim to be made. Only its size can be
// changed, and only grow.
//
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",message="storageClassName can't be changed: create another TorrentDownload for another class"
// +kubebuilder:validation:XValidation:rule="self.accessModes == oldSelf.accessModes",message="accessModes can't be changed: create another TorrentDownload for other ones"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.size) || has(self.size) && quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",message="size can only grow: a claim does not shrink"
type ClaimTemplate struct {
	// storageClassName is the StorageClass of the claim. Without it the claim
	// is of the cluster's default class; "" asks for a volume without a class.
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Subdomain().validate(self).hasValue()",message="storageClassName must be the name of a StorageClass: lower-case letters, digits, '-' and '.'"
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`

	// accessModes are how the volume can be mounted: ReadWriteOnce by the Pods
	// of one node, ReadWriteOncePod by one Pod at a time, ReadWriteMany by
	// many nodes.
	// +kubebuilder:default={ReadWriteOnce}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	// +listType=set
	// +optional
	AccessModes []AccessMode `json:"accessModes,omitempty"`

	// size is how much is asked for, for example 500Gi. Without it that is what
	// the wanted files need, and some room for the file system. It may grow
	// later where the StorageClass allows volumes to be expanded.
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 32 && isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1Mi')) >= 0 && quantity(string(self)).compareTo(quantity('1E')) <= 0",message="size must be between 1Mi and 1E, for example 500Gi"
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
}

// AccessMode is a way in which a volume that is written to can be mounted.
//
// +kubebuilder:validation:Enum=ReadWriteOnce;ReadWriteOncePod;ReadWriteMany
type AccessMode string

// The access modes, by the names that they have in PersistentVolumeClaims.
const (
	ReadWriteOnce    AccessMode = "ReadWriteOnce"
	ReadWriteOncePod AccessMode = "ReadWriteOncePod"
	ReadWriteMany    AccessMode = "ReadWriteMany"
)
