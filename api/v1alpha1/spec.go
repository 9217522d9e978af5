package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// TorrentDownloadSpec says which torrent is wanted and where. A source and a
// volume are enough.
//
// +kubebuilder:validation:XValidation:rule="!has(self.source.infoHash) || has(self.discovery) && (has(self.discovery.trackers) && size(self.discovery.trackers) > 0 || has(self.discovery.peers) && size(self.discovery.peers) > 0)",message="source.infoHash says nothing about where peers are: name some in discovery.peers, or trackers in discovery.trackers"
// +kubebuilder:validation:XValidation:rule="!has(self.source.infoHash) || !has(self.verification) || !has(self.verification.infoHash) || self.source.infoHash.lowerAscii() == self.verification.infoHash.lowerAscii()",message="verification.infoHash differs from source.infoHash: correct one of them or leave verification out"
// +kubebuilder:validation:XValidation:rule="!has(self.source.magnet) || !has(self.verification) || !has(self.verification.infoHash) || !self.source.magnet.matches('(?i)urn:btih:[0-9a-f]{40}') || self.source.magnet.lowerAscii().contains('urn:btih:' + self.verification.infoHash.lowerAscii())",message="verification.infoHash differs from the info hash of source.magnet: correct one of them or leave verification out"
type TorrentDownloadSpec struct {
	// source says where the torrent's metainfo (the content of a .torrent
	// file) comes from. Set exactly one of its fields. It can't be changed.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="source can't be changed: create another TorrentDownload for another torrent"
	// +required
	Source Source `json:"source,omitzero"`

	// volume says where the data goes.
	// +required
	Volume Volume `json:"volume,omitzero"`

	// discovery adds ways to find peers to those that the torrent names. It
	// may be changed at any time.
	// +optional
	Discovery Discovery `json:"discovery,omitzero"`

	// files says which files of the torrent are wanted, and which of them
	// first; without it all are. It may be changed at any time: what is wanted
	// more is fetched, and what is not wanted any more is not removed. Pieces
	// are fetched whole, so up to a piece more is fetched at both ends of a
	// file than it has; what belongs to files that are not wanted is kept in a
	// hidden folder beside the data, and no other file is made. Its lists stand
	// for 256 patterns at most, all together, where each combination of the
	// alternatives in {} counts as one: a download with more of them fails.
	// +optional
	Files Files `json:"files,omitzero"`

	// verification pins what the source must yield. Anything else is refused
	// before a byte is written.
	// +optional
	Verification Verification `json:"verification,omitzero"`

	// suspend stops the download and its seeding while it is true. What was
	// fetched is kept, and the download goes on from there once suspend is
	// false or absent.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// seeding says how long the complete download goes on serving other
	// peers. While it is incomplete it always serves the pieces that it has.
	// +kubebuilder:default={policy: None}
	// +optional
	Seeding Seeding `json:"seeding,omitzero"`

	// limits bound what the download may use. What is absent is not limited
	// here; limits of the whole operator hold all the same.
	// +optional
	Limits Limits `json:"limits,omitzero"`

	// network says how the download speaks with peers, and how peers from
	// outside of the cluster reach one that runs in a Pod of its own.
	// +optional
	Network Network `json:"network,omitzero"`

	// retry says how often a download that fails is tried again, and when the
	// operator speaks up about one that does not go on.
	// +kubebuilder:default={}
	// +optional
	Retry Retry `json:"retry,omitzero"`

	// worker shapes the Pod in which the download runs, where it has one of
	// its own. A change ends a running Pod, and the next one goes on.
	// +optional
	Worker WorkerSpec `json:"worker,omitzero"`

	// ttlSecondsAfterFinished deletes this object so many seconds after the
	// download is complete and seeding has ended, and its data too if
	// deletionPolicy says so. Without it the object stays. A tool that keeps
	// objects as a repository has them, such as Argo CD or Flux, makes the
	// object again, and the download begins again.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// deletionPolicy says what becomes of the data when this object is
	// deleted: Retain leaves it in the claim, Delete removes this torrent's
	// own files and nothing else. A claim made by volume.claimTemplate stays
	// with Retain and goes with Delete.
	// +kubebuilder:default=Retain
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// Source is where the metainfo of a torrent comes from.
//
// +kubebuilder:validation:ExactlyOneOf=magnet;infoHash;url;metainfoFrom
type Source struct {
	// magnet is a magnet link, as a page that offers the torrent shows it. The
	// metainfo is fetched from peers, which are found through the trackers and
	// peers of the link and of discovery, and kept on the volume. Peers may
	// give 32 MiB of it, which is 1.6 million pieces; a larger torrent needs
	// its .torrent file. If the link selects files (so=), they alone are
	// fetched, unless files says which. Whoever may read this object reads the
	// link: for a tracker's URL that is a secret, put the .torrent file into a
	// Secret instead and use metainfoFrom.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="self.matches('^(?i)magnet:[?]')",message="magnet must be a magnet link, which begins with magnet:?"
	// +kubebuilder:validation:XValidation:rule="self.matches('(?i)[?&]xt([.][0-9]+)?=urn(:|%3a)btih(:|%3a)([0-9a-f]{40}|[a-z2-7]{32})(&|$)')",message="magnet must name the torrent by xt=urn:btih: and a v1 info hash, 40 hexadecimal digits or 32 characters of base32 (urn:btmh alone, of version 2, is not supported)"
	// +optional
	Magnet string `json:"magnet,omitempty"`

	// infoHash is the torrent's v1 info hash in 40 hexadecimal digits: a
	// magnet link with nothing else in it. Peers are found through discovery,
	// which has to name trackers or peers.
	// +kubebuilder:validation:MinLength=40
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-fA-F]+$')",message="infoHash must be a v1 info hash: 40 hexadecimal digits"
	// +optional
	InfoHash string `json:"infoHash,omitempty"`

	// url fetches the .torrent file over HTTP or HTTPS.
	// +optional
	URL *URLSource `json:"url,omitempty"`

	// metainfoFrom reads the .torrent file from a ConfigMap or Secret.
	// +optional
	MetainfoFrom *MetainfoSource `json:"metainfoFrom,omitempty"`
}

// URLSource is a .torrent file to be fetched over HTTP or HTTPS.
type URLSource struct {
	// address is the http:// or https:// URL of the .torrent file. It holds no
	// user name and no password: headersSecretRef is the place for them.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="address must be an http:// or https:// URL of a .torrent file"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[A-Za-z]+://[^/?#]*@')",message="address must not hold a user name or password: put an Authorization header into a Secret and name it in headersSecretRef"
	// +required
	Address string `json:"address,omitempty"`

	// headersSecretRef names a Secret of type torrent-operator.io/source in
	// this namespace. Each of its keys is the name of a header that is sent
	// with the request, with the key's value.
	// +optional
	HeadersSecretRef *SecretReference `json:"headersSecretRef,omitempty"`

	// caBundleRef names a key of a ConfigMap in this namespace that holds PEM
	// certificates. The server's certificate is verified with these instead of
	// the system's.
	// +optional
	CABundleRef *KeyReference `json:"caBundleRef,omitempty"`

	// sha256 is the SHA-256 of the .torrent file in 64 hexadecimal digits. A
	// file with another one is refused.
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-fA-F]+$')",message="sha256 must be 64 hexadecimal digits, as sha256sum prints them"
	// +optional
	SHA256 string `json:"sha256,omitempty"`
}

// MetainfoSource is a .torrent file in a ConfigMap or Secret of the same
// namespace.
//
// +kubebuilder:validation:ExactlyOneOf=configMapKeyRef;secretKeyRef
type MetainfoSource struct {
	// configMapKeyRef names a key of a ConfigMap, in binaryData or data, whose
	// value is the .torrent file. One of more than about 750 KiB does not fit
	// into what a worker Pod is given: use source.url.
	// +optional
	ConfigMapKeyRef *KeyReference `json:"configMapKeyRef,omitempty"`

	// secretKeyRef names a key of a Secret of type torrent-operator.io/source
	// whose value is the .torrent file, of at most about 750 KiB.
	// +optional
	SecretKeyRef *KeyReference `json:"secretKeyRef,omitempty"`
}

// KeyReference names one key of a ConfigMap or Secret in the namespace of the
// TorrentDownload.
type KeyReference struct {
	// name is the name of the ConfigMap or Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name must be the name of an object: lower-case letters, digits, '-' and '.'"
	// +required
	Name string `json:"name,omitempty"`

	// key is the key within it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="key must be a key of the object: letters, digits, '-', '_' and '.'"
	// +required
	Key string `json:"key,omitempty"`
}

// SecretReference names a Secret in the namespace of the TorrentDownload.
type SecretReference struct {
	// name is the name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name must be the name of an object: lower-case letters, digits, '-' and '.'"
	// +required
	Name string `json:"name,omitempty"`
}

// Files says which files of a torrent are wanted, and in which order. Its lists
// hold patterns as in a .gitignore file, of paths below the torrent's own
// folder. A pattern without a slash matches the name of a file or folder at
// any depth (*.tar); one with a slash the whole path (train/*.tar); ** stands
// for any number of folders, {a,b} for alternatives. A folder that matches
// stands for all that is in it, and a slash at the end matches folders only.
type Files struct {
	// include selects files; without it all are selected.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^/?$|//|(^|/)[.][.]?(/|$)')",message="a pattern must be a path or a name below the torrent's folder, for example train/*.tar: without '//', '.' and '..'"
	// +listType=set
	// +optional
	Include []string `json:"include,omitempty"`

	// exclude takes files away from those that include selects.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^/?$|//|(^|/)[.][.]?(/|$)')",message="a pattern must be a path or a name below the torrent's folder, for example train/*.tar: without '//', '.' and '..'"
	// +listType=set
	// +optional
	Exclude []string `json:"exclude,omitempty"`

	// priority says which of the wanted files are fetched before and after
	// the others.
	// +optional
	Priority FilePriority `json:"priority,omitzero"`

	// order is the order of the pieces of one priority: RarestFirst keeps the
	// swarm healthy, Sequential goes from the first to the last, for readers
	// that follow the download.
	// +kubebuilder:default=RarestFirst
	// +optional
	Order FileOrder `json:"order,omitempty"`
}

// FilePriority says which files are fetched before and after others. A piece
// that several files share is as urgent as the most urgent of them.
//
// +kubebuilder:validation:MinProperties=1
type FilePriority struct {
	// high are patterns of files that are fetched first.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^/?$|//|(^|/)[.][.]?(/|$)')",message="a pattern must be a path or a name below the torrent's folder, for example train/*.tar: without '//', '.' and '..'"
	// +listType=set
	// +optional
	High []string `json:"high,omitempty"`

	// low are patterns of files that are fetched last. A file that high
	// matches too is fetched first.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^/?$|//|(^|/)[.][.]?(/|$)')",message="a pattern must be a path or a name below the torrent's folder, for example train/*.tar: without '//', '.' and '..'"
	// +listType=set
	// +optional
	Low []string `json:"low,omitempty"`
}

// FileOrder is an order of fetching.
//
// +kubebuilder:validation:Enum=RarestFirst;Sequential
type FileOrder string

// The orders of fetching.
const (
	// OrderRarestFirst fetches first what fewest peers have.
	OrderRarestFirst FileOrder = "RarestFirst"
	// OrderSequential fetches pieces from the first to the last.
	OrderSequential FileOrder = "Sequential"
)

// Credential is what HTTP servers of one origin are sent, and how they are
// verified. It goes to that origin alone: not to another one to which a server
// redirects, and not to others that the torrent names.
//
// +kubebuilder:validation:XValidation:rule="has(self.headersSecretRef) || has(self.caBundleRef)",message="a credential needs headersSecretRef, caBundleRef, or both"
// +kubebuilder:validation:XValidation:rule="!has(self.caBundleRef) || self.origin.startsWith('https://')",message="caBundleRef needs an origin that starts with https://"
type Credential struct {
	// origin is the scheme, host and port of the URLs of trackers and web
	// seeds, for example https://tracker.example.org or
	// http://tracker.local:8080. Without a port it is the scheme's own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=274
	// +kubebuilder:validation:XValidation:rule="isURL(self) && self.matches('^https?://[^/?#@]+$')",message="origin must be the beginning of an http:// or https:// URL up to its host and port, for example https://tracker.example.org:8443"
	// +required
	Origin string `json:"origin,omitempty"`

	// headersSecretRef names a Secret of type torrent-operator.io/source in
	// this namespace. Each of its keys is the name of a header that is sent
	// with each request, with the key's value. A change is noticed within a
	// minute.
	// +optional
	HeadersSecretRef *SecretReference `json:"headersSecretRef,omitempty"`

	// caBundleRef names a key of a ConfigMap in this namespace that holds PEM
	// certificates. The servers' certificates are verified with these instead
	// of the system's.
	// +optional
	CABundleRef *KeyReference `json:"caBundleRef,omitempty"`
}

// Verification pins what a source must yield.
type Verification struct {
	// infoHash is the expected v1 info hash in 40 hexadecimal digits. A
	// torrent with another one is refused.
	// +kubebuilder:validation:MinLength=40
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-fA-F]+$')",message="infoHash must be a v1 info hash: 40 hexadecimal digits"
	// +optional
	InfoHash string `json:"infoHash,omitempty"`
}

// SeedingPolicy says until when a complete download serves other peers.
//
// +kubebuilder:validation:Enum=None;Ratio;Duration;Forever
type SeedingPolicy string

// The seeding policies.
const (
	// SeedingNone stops at completion.
	SeedingNone SeedingPolicy = "None"
	// SeedingRatio stops when Seeding.RatioPercent of the size was sent.
	SeedingRatio SeedingPolicy = "Ratio"
	// SeedingDuration stops Seeding.DurationSeconds after completion.
	SeedingDuration SeedingPolicy = "Duration"
	// SeedingForever goes on as long as the object exists.
	SeedingForever SeedingPolicy = "Forever"
)

// Seeding says how long a complete download goes on serving other peers.
//
// +kubebuilder:validation:XValidation:rule="self.policy != 'Ratio' || has(self.ratioPercent)",message="policy Ratio needs ratioPercent, for example 150"
// +kubebuilder:validation:XValidation:rule="self.policy == 'Ratio' || !has(self.ratioPercent)",message="ratioPercent needs policy Ratio: set the policy or remove ratioPercent"
// +kubebuilder:validation:XValidation:rule="self.policy != 'Duration' || has(self.durationSeconds)",message="policy Duration needs durationSeconds, for example 3600"
// +kubebuilder:validation:XValidation:rule="self.policy == 'Duration' || !has(self.durationSeconds)",message="durationSeconds needs policy Duration: set the policy or remove durationSeconds"
type Seeding struct {
	// policy says when seeding ends: None at completion, Ratio when
	// ratioPercent of the size was sent, Duration so many seconds
	// after completion, Forever when this object is suspended or deleted.
	// +kubebuilder:default=None
	// +optional
	Policy SeedingPolicy `json:"policy,omitempty"`

	// ratioPercent is how much is sent under policy Ratio, in percent of the
	// size of the wanted files: 100 is as much as was fetched.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	RatioPercent int32 `json:"ratioPercent,omitempty"`

	// durationSeconds is how long is seeded under policy Duration, counted
	// from completion.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=315360000
	// +optional
	DurationSeconds int32 `json:"durationSeconds,omitempty"`
}

// Limits bound what a download may use.
type Limits struct {
	// downloadBytesPerSecond bounds what is received, for example 100Mi.
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 32 && isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1')) >= 0 && quantity(string(self)).compareTo(quantity('1P')) <= 0",message="downloadBytesPerSecond must be between 1 and 1P bytes, for example 100Mi (to stop a download set suspend)"
	// +optional
	DownloadBytesPerSecond *resource.Quantity `json:"downloadBytesPerSecond,omitempty"`

	// uploadBytesPerSecond bounds what is sent, for example 20Mi.
	// +kubebuilder:validation:XValidation:rule="string(self).size() <= 32 && isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1')) >= 0 && quantity(string(self)).compareTo(quantity('1P')) <= 0",message="uploadBytesPerSecond must be between 1 and 1P bytes, for example 20Mi"
	// +optional
	UploadBytesPerSecond *resource.Quantity `json:"uploadBytesPerSecond,omitempty"`

	// maxPeers bounds the connections that are open at once. Without it the
	// operator's default, 80, holds.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +optional
	MaxPeers int32 `json:"maxPeers,omitempty"`
}

// Network says how a download speaks with peers, and how peers from outside of
// the cluster reach one that runs in a Pod of its own.
type Network struct {
	// encryption says whether connections to peers are encrypted, as
	// BitTorrent clients do it so that providers don't recognize them: Allow
	// takes both from peers that connect, and connects in the clear first and
	// then encrypted; Prefer takes both, and connects encrypted first;
	// Require has no connection that is not encrypted, and Disable none that
	// is. It hides nothing from peers, costs processor time, and does not
	// concern trackers and web seeds.
	// +kubebuilder:default=Allow
	// +optional
	Encryption NetworkEncryption `json:"encryption,omitempty"`

	// listenPort is the TCP port at which the Pod takes peers, 6881 without
	// it. With service NodePort it takes them at the port that Kubernetes gives
	// the Service, so that trackers are told of that one.
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +optional
	ListenPort int32 `json:"listenPort,omitempty"`

	// service is the type of a Service that leads peers from outside of the
	// cluster to the Pod: NodePort, LoadBalancer, or None for no Service. The
	// download fetches and seeds without one, to peers that it connects to.
	// +kubebuilder:default=None
	// +optional
	Service NetworkService `json:"service,omitempty"`
}

// NetworkEncryption says whether connections to peers are encrypted.
//
// +kubebuilder:validation:Enum=Allow;Prefer;Require;Disable
type NetworkEncryption string

// The ways to treat encryption.
const (
	// EncryptionAllow takes both, and connects in the clear first.
	EncryptionAllow NetworkEncryption = "Allow"
	// EncryptionPrefer takes both, and connects encrypted first.
	EncryptionPrefer NetworkEncryption = "Prefer"
	// EncryptionRequire has no connection that is not encrypted.
	EncryptionRequire NetworkEncryption = "Require"
	// EncryptionDisable has none that is.
	EncryptionDisable NetworkEncryption = "Disable"
)

// NetworkService is the type of the Service of a download.
//
// +kubebuilder:validation:Enum=None;NodePort;LoadBalancer
type NetworkService string

// The types of Services.
const (
	// ServiceNone makes no Service.
	ServiceNone NetworkService = "None"
	// ServiceNodePort opens a port on every node.
	ServiceNodePort NetworkService = "NodePort"
	// ServiceLoadBalancer asks the cluster's provider for an address.
	ServiceLoadBalancer NetworkService = "LoadBalancer"
)

// What Retry has where a field is absent.
const (
	DefaultStallTimeoutSeconds = 900
	DefaultBackoffLimit        = 6
)

// Retry says how often a download that fails is tried again, and when the
// operator speaks up about one that does not go on.
type Retry struct {
	// backoffLimit is how often in a row a download that fails is tried again
	// without getting any further; then it is Stalled with reason
	// BackoffLimitExceeded. Between attempts there is one second at first and
	// five minutes at most. What the download only has to wait for, such as a
	// claim, a quota, or a server that has its .torrent file, does not count. A
	// change of the spec and the annotation
	// torrent-operator.io/retryRequestedAt begin the count again.
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// activeDeadlineSeconds is how long after status.startTime the download
	// may take. One that is not complete by then is stopped and Stalled with
	// reason DeadlineExceeded; what it has fetched stays. 0 is any time.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	// +optional
	ActiveDeadlineSeconds *int32 `json:"activeDeadlineSeconds,omitempty"`

	// stallTimeoutSeconds is how long no byte may arrive before the download
	// is reported as stalled. The download goes on trying all the same, and
	// the first byte clears the report. 0 is never.
	// +kubebuilder:default=900
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	// +optional
	StallTimeoutSeconds *int32 `json:"stallTimeoutSeconds,omitempty"`
}

// DeletionPolicy says what becomes of the data when the object is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionRetain leaves the data in the claim.
	DeletionRetain DeletionPolicy = "Retain"
	// DeletionDelete removes the torrent's own files and nothing else.
	DeletionDelete DeletionPolicy = "Delete"
)
