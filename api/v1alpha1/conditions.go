package v1alpha1

// The types of conditions. Ready, Reconciling and Stalled are read by kstatus;
// Reconciling and Stalled are absent rather than False.
const (
	// ConditionReady is True once every piece is verified and durable. While
	// it is False its reason says what the download is doing or waits for.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the operator works on the download
	// without needing anybody.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when the download can't go on without a person,
	// or has received no byte for spec.retry.stallTimeoutSeconds.
	ConditionStalled = "Stalled"
	// ConditionMetadataResolved is True once the metainfo was read and is the
	// one that is wanted.
	ConditionMetadataResolved = "MetadataResolved"
	// ConditionVolumeReady is True while the claim can be written to.
	ConditionVolumeReady = "VolumeReady"
	// ConditionComplete is True once every piece is verified and durable.
	ConditionComplete = "Complete"
	// ConditionSeeding is True while the complete download serves other peers.
	ConditionSeeding = "Seeding"
)

// The reasons that the operator itself gives. A failure of a download carries
// the reason of whatever ran it (for example InfoHashMismatch, ClaimNotFound,
// PathConflict, InsufficientSpace, NoPeers), unchanged.
const (
	// ReasonPending is given before the first word of what runs the download.
	ReasonPending = "Pending"
	// ReasonResolving is given while the metainfo is being fetched or read.
	ReasonResolving = "Resolving"
	// ReasonResolved is given when the metainfo is known.
	ReasonResolved = "Resolved"
	// ReasonWaiting is given while the download waits for its turn.
	ReasonWaiting = "Waiting"
	// ReasonChecking is given while data on the volume is being hashed.
	ReasonChecking = "Checking"
	// ReasonDownloading is given while pieces are being fetched.
	ReasonDownloading = "Downloading"
	// ReasonFinishing is given while the last pieces become durable.
	ReasonFinishing = "Finishing"
	// ReasonComplete is given when every piece is verified and durable.
	ReasonComplete = "Complete"
	// ReasonRetrying is given when a failure is being tried again.
	ReasonRetrying = "Retrying"
	// ReasonBackoffLimitExceeded is given when a download has failed more often
	// in a row than spec.retry.backoffLimit allows.
	ReasonBackoffLimitExceeded = "BackoffLimitExceeded"
	// ReasonDeadlineExceeded is given when a download was not complete within
	// spec.retry.activeDeadlineSeconds.
	ReasonDeadlineExceeded = "DeadlineExceeded"
	// ReasonSuspended is given while spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonDeleting is given while a deleted object waits for its download to
	// stop and, with deletionPolicy Delete, for its data to be removed.
	ReasonDeleting = "Deleting"

	// ReasonVolumeMounted is given when the claim can be written to.
	ReasonVolumeMounted = "Mounted"
	// ReasonClaimNotExpandable is given when the claim can be written to, but
	// can't grow to spec.volume.claimTemplate.size.
	ReasonClaimNotExpandable = "ClaimNotExpandable"
	// ReasonClaimConflict is given when a claim that the operator did not make
	// has the name of the one that it is to make.
	ReasonClaimConflict = "ClaimConflict"
	// ReasonClaimRefused is given when the API server does not let a claim be
	// made or grown.
	ReasonClaimRefused = "ClaimRefused"
	// ReasonClaimResizing is given while a claim that is too small grows.
	ReasonClaimResizing = "ClaimResizing"
	// ReasonClaimLost is given when the volume of the claim is gone.
	ReasonClaimLost = "ClaimLost"

	// ReasonSeeding is given while the complete download serves other peers.
	ReasonSeeding = "Seeding"
	// ReasonSeedingDone is given when the seeding policy's end was reached.
	ReasonSeedingDone = "SeedingDone"
	// ReasonNotSeeding is given where the seeding policy is None, or the
	// download is not complete yet.
	ReasonNotSeeding = "NotSeeding"

	// ReasonSourceNotFound is given when a ConfigMap, a Secret or a key that
	// the source names does not exist.
	ReasonSourceNotFound = "SourceNotFound"
	// ReasonSecretRefused is given when a Secret that the source names is not
	// of type SecretTypeSource.
	ReasonSecretRefused = "SecretRefused"
)

// The annotations of a TorrentDownload that ask for something.
const (
	// AnnotationRetryRequestedAt asks once to try again: a value other than
	// status.lastHandledRetryAt, customarily the time, is acted upon.
	AnnotationRetryRequestedAt = "torrent-operator.io/retryRequestedAt"
	// AnnotationVerifyRequestedAt asks once to hash all data on the volume
	// again: a value other than status.lastHandledVerifyAt is acted upon.
	AnnotationVerifyRequestedAt = "torrent-operator.io/verifyRequestedAt"
	// AnnotationSkipCleanup lets a deleted object go without removing its
	// data, whatever its deletionPolicy, if the value is "true".
	AnnotationSkipCleanup = "torrent-operator.io/skip-cleanup"
)

// Finalizer holds a deleted TorrentDownload until its download has stopped
// and, with deletionPolicy Delete, its data is gone.
const Finalizer = "torrent-operator.io/cleanup"

// SecretTypeSource is the type that a Secret must have to be read for a
// source. Without this rule somebody who may create a TorrentDownload, but may
// not read Secrets, could have any Secret sent to a URL of their own.
const SecretTypeSource = "torrent-operator.io/source"
