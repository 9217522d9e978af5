package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// WorkerSpec shapes the Pod in which a download runs. What it can't say (image,
// service account, commands, host access, security context) the operator alone
// decides, so that who may create a TorrentDownload gets no rights with it that
// a restricted Pod would not have.
type WorkerSpec struct {
	// resources are what the Pod asks for and may use at most. What is absent
	// is the operator's default.
	// +optional
	Resources WorkerResources `json:"resources,omitzero"`

	// nodeSelector names labels that a node must have for the Pod.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations let the Pod run on nodes with matching taints.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity says near what the Pod is to run, and what to stay away from.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints spread Pods over zones, nodes and the like.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the PriorityClass of the Pod.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="priorityClassName must be the name of a PriorityClass: lower-case letters, digits, '-' and '.'"
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// labels are put on the Pod besides the operator's own.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('torrent-operator.io/'))",message="labels that begin with torrent-operator.io/ are the operator's own"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations are put on the Pod besides the operator's own.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('torrent-operator.io/'))",message="annotations that begin with torrent-operator.io/ are the operator's own"
	// +optional
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// imagePullSecrets are Secrets of this namespace with which the operator's
	// image is pulled.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	ImagePullSecrets []SecretReference `json:"imagePullSecrets,omitempty"`

	// fsGroup is the group that owns what is written to the volume, where the
	// volume's kind lets it be chosen. Without it that is the operator's
	// default.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	FSGroup int64 `json:"fsGroup,omitempty"`
}

// WorkerResources are what a Pod asks for and may use at most.
type WorkerResources struct {
	// requests are what the node must have free for the Pod, for example
	// {cpu: 500m, memory: 128Mi}.
	// +kubebuilder:validation:MaxProperties=16
	// +optional
	Requests map[corev1.ResourceName]resource.Quantity `json:"requests,omitempty"`

	// limits are what the Pod may use at most.
	// +kubebuilder:validation:MaxProperties=16
	// +optional
	Limits map[corev1.ResourceName]resource.Quantity `json:"limits,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue string

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string
