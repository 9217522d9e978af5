package controllers

// The rights that downloads in Pods need besides. What a Pod is given lies in a
// Secret, which is read and written by name. The warnings told of Jobs, Pods
// and claims say why a Pod can't be made or started. Whose Pod a worker is, the
// API server tells by its token. In its own namespace the operator has its
// certificates and its Pod, whichever namespaces it serves.
//
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;update;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups="",namespace=system,resources=secrets,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=system,resources=pods,verbs=get
