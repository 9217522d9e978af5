// Package v1alpha1 is the Kubernetes API of torrent-operator: the
// TorrentDownload, which turns a torrent into verified bytes on a
// PersistentVolume. It holds the types, the names of conditions, reasons and
// annotations, and nothing else; what the types cannot say is said by CEL
// rules in the generated CustomResourceDefinition, so no webhook is needed.
//
// +kubebuilder:object:generate=true
// +groupName=torrent-operator.io
package v1alpha1
