package metrics

// hindrances are the reasons for which a download may not go on, as
// docs/conditions.md has them.
var hindrances = []string{
	"Retrying", "WorkerPending", "WorkerEnding", "ClaimResizing", "SourceNotFound", "SecretRefused",
	"MetainfoUnavailable", "MetainfoInvalid", "UnsupportedTorrent", "ChecksumMismatch", "InfoHashMismatch",
	"PatternInvalid", "NothingSelected", "RequestTooLarge", "NoPeers", "TrackerUnreachable",
	"WebSeedUnavailable", "CorruptPeers", "AddressDenied", "ClaimNotFound", "ClaimPending", "ClaimConflict",
	"ClaimRefused", "ClaimNotExpandable", "ClaimLost", "ClaimNotLocal", "VolumeDenied", "VolumeBusy",
	"PathConflict", "InsufficientSpace", "VolumeReadOnly", "DataMissing", "VolumeError", "Unschedulable",
	"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "QuotaExceeded",
	"NodeLost", "WorkerFailed", "OOMKilled", "Evicted", "Drained", "Preempted", "BackoffLimitExceeded",
	"DeadlineExceeded", "InternalError",
	"NameConflict", "WorkerSilent",
}
