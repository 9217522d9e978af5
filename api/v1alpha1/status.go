package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TorrentDownloadStatus says how far a download is. Counters are exact when
// they are written; they are written at every transition and otherwise at
// intervals, so lastUpdateTime says how old they are.
type TorrentDownloadStatus struct {
	// observedGeneration is the metadata.generation that this status is about.
	// It is -1 until the operator has seen the object.
	// +kubebuilder:validation:Minimum=-1
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are the state of the download: Ready, Reconciling and Stalled
	// as kstatus reads them, and MetadataResolved, VolumeReady, Complete and
	// Seeding.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// infoHash identifies the torrent, once its metainfo is known.
	// +optional
	InfoHash InfoHash `json:"infoHash,omitzero"`

	// name is the torrent's own name, made safe for a file system. The file or
	// folder of this name below spec.volume.path holds the data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Name string `json:"name,omitempty"`

	// selection names the files that this status counts: a hash of include and
	// exclude of spec.files. It is absent where all files are.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Selection string `json:"selection,omitempty"`

	// progress counts bytes of the wanted files, once the metainfo is known.
	// +optional
	Progress *Progress `json:"progress,omitempty"`

	// pieces counts the pieces that hold bytes of wanted files, and shows which
	// are verified, once the metainfo is known.
	// +optional
	Pieces *Pieces `json:"pieces,omitempty"`

	// peers counts the peers of a running download.
	// +optional
	Peers *Peers `json:"peers,omitempty"`

	// volume is where the data is, or will be.
	// +optional
	Volume VolumeStatus `json:"volume,omitzero"`

	// worker is what runs the download.
	// +optional
	Worker WorkerStatus `json:"worker,omitzero"`

	// retries is how often in a row the download was begun again after a
	// failure, without getting any further since. See spec.retry.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Retries int32 `json:"retries,omitempty"`

	// startTime is when the operator began to run the download, and from when
	// spec.retry.activeDeadlineSeconds counts: that begins again after suspend,
	// and when a download that took too long is asked to be tried again.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when every wanted piece was verified and durable.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// lastHandledRetryAt is the value of the annotation
	// torrent-operator.io/retryRequestedAt that was last acted upon.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastHandledRetryAt string `json:"lastHandledRetryAt,omitempty"`

	// lastHandledVerifyAt is the value of the annotation
	// torrent-operator.io/verifyRequestedAt that was last acted upon.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastHandledVerifyAt string `json:"lastHandledVerifyAt,omitempty"`
}

// InfoHash is the identity of a torrent.
type InfoHash struct {
	// v1 is the SHA-1 of the info dictionary in 40 lower-case hexadecimal
	// digits.
	// +kubebuilder:validation:MinLength=40
	// +kubebuilder:validation:MaxLength=40
	// +required
	V1 string `json:"v1,omitempty"`
}

// Progress counts the bytes of a download.
type Progress struct {
	// percent is bytesVerified in percent of bytesTotal, rounded down: 100
	// only if every byte is verified.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +required
	Percent int32 `json:"percent"`

	// summary says all this for a person in one line, for example
	// "42% of 2.9GiB, 88MiB/s, 19s left".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Summary string `json:"summary,omitempty"`

	// bytesTotal is the size of the wanted files.
	// +kubebuilder:validation:Minimum=0
	// +required
	BytesTotal int64 `json:"bytesTotal"`

	// bytesVerified is how many of these bytes are in verified pieces.
	// +kubebuilder:validation:Minimum=0
	// +required
	BytesVerified int64 `json:"bytesVerified"`

	// bytesUploaded is how many bytes were sent to other peers.
	// +kubebuilder:validation:Minimum=0
	// +optional
	BytesUploaded int64 `json:"bytesUploaded,omitempty"`

	// downloadBytesPerSecond is the rate of receiving, rounded to two digits.
	// +kubebuilder:validation:Minimum=0
	// +optional
	DownloadBytesPerSecond int64 `json:"downloadBytesPerSecond,omitempty"`

	// uploadBytesPerSecond is the rate of sending, rounded to two digits.
	// +kubebuilder:validation:Minimum=0
	// +optional
	UploadBytesPerSecond int64 `json:"uploadBytesPerSecond,omitempty"`

	// etaSeconds is how long the rest takes at the present rate. It is absent
	// if that can't be told.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ETASeconds int64 `json:"etaSeconds,omitempty"`

	// lastUpdateTime is when these numbers were true.
	// +optional
	LastUpdateTime *metav1.Time `json:"lastUpdateTime,omitempty"`
}

// PieceMapEncoding says how Pieces.Map is to be read.
//
// +kubebuilder:validation:Enum=Bitfield;Buckets
type PieceMapEncoding string

// The encodings of a piece map.
const (
	// PieceMapBitfield is a base64 bitfield, one bit for each wanted piece in
	// its turn, the first in the highest bit of the first byte (BEP 3).
	PieceMapBitfield PieceMapEncoding = "Bitfield"
	// PieceMapBuckets is 256 hexadecimal digits, each for one stretch of
	// wanted pieces: 0 only if it is empty, f only if it is complete.
	PieceMapBuckets PieceMapEncoding = "Buckets"
)

// Pieces counts the pieces of a download.
//
// +kubebuilder:validation:XValidation:rule="has(self.map) == has(self.encoding)",message="map and encoding go together"
type Pieces struct {
	// length is the length of each piece but the last, in bytes.
	// +kubebuilder:validation:Minimum=0
	// +required
	Length int64 `json:"length"`

	// total is the number of wanted pieces.
	// +kubebuilder:validation:Minimum=0
	// +required
	Total int32 `json:"total"`

	// verified is the number of wanted pieces that are fetched and whose hash is
	// right.
	// +kubebuilder:validation:Minimum=0
	// +required
	Verified int32 `json:"verified"`

	// inProgress is the number of pieces that are being fetched now.
	// +kubebuilder:validation:Minimum=0
	// +optional
	InProgress int32 `json:"inProgress,omitempty"`

	// map shows which of the wanted pieces are verified, in the way that encoding says. It
	// is absent while none and once all are.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1368
	// +optional
	Map string `json:"map,omitempty"`

	// encoding says how map is to be read: Bitfield is base64 of one bit for
	// each wanted piece in its turn, the first in the highest bit of the first byte; Buckets is
	// 256 hexadecimal digits, each for how full one stretch of pieces is, 0
	// only if it is empty and f only if it is complete.
	// +optional
	Encoding PieceMapEncoding `json:"encoding,omitempty"`
}

// Peers counts the peers of a download.
type Peers struct {
	// connected is the number of peers connected now.
	// +kubebuilder:validation:Minimum=0
	// +required
	Connected int32 `json:"connected"`

	// seeds is how many of the connected peers have every piece.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Seeds int32 `json:"seeds,omitempty"`

	// known is the number of peers whose address is known, connected or not.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Known int32 `json:"known,omitempty"`
}

// VolumeStatus is where the data of a download is.
type VolumeStatus struct {
	// claimName is the claim that holds the data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	ClaimName string `json:"claimName,omitempty"`

	// path is the folder of the claim below which the torrent's files are.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Path string `json:"path,omitempty"`
}

// WorkerStatus is what runs a download.
type WorkerStatus struct {
	// name is the Job, while the download is incomplete, or the StatefulSet,
	// while it is seeded, that makes the Pod. It is absent where the download
	// runs in the operator itself.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`

	// podName is the Pod in which the download runs: kubectl logs shows what it
	// says.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	PodName string `json:"podName,omitempty"`

	// nodeName is the node on which the download runs.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	NodeName string `json:"nodeName,omitempty"`

	// restarts is how many Pods of this download ended before they were done.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Restarts int32 `json:"restarts,omitempty"`

	// lastFailure is how the last of these Pods ended.
	// +optional
	LastFailure *WorkerFailure `json:"lastFailure,omitempty"`
}

// WorkerFailure is how a Pod ended that was not done.
type WorkerFailure struct {
	// reason is what Kubernetes or the worker calls it, for example OOMKilled,
	// Evicted or VolumeError.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +required
	Reason string `json:"reason,omitempty"`

	// message is the last error.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`

	// exitCode is that of the Pod's container, if it had one.
	// +optional
	ExitCode int32 `json:"exitCode,omitempty"`

	// time is when the Pod ended.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}
