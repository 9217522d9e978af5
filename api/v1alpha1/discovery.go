package v1alpha1

// Discovery adds ways to find peers.
type Discovery struct {
	// trackers are announce URLs, http://, https:// or udp://, that are asked
	// besides those that the torrent names. One that begins with udp:// has to
	// name its port, and is spoken to directly: a proxy that the operator was
	// given is for HTTP alone. A private torrent that names trackers is told
	// to those alone (BEP 27).
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:XValidation:rule="isURL(self) && url(self).getHostname() != '' && (url(self).getScheme() in ['http', 'https'] || url(self).getScheme() == 'udp' && !(url(self).getPort() in ['', '0']) && int(url(self).getPort()) <= 65535)",message="a tracker must be an http://, https:// or udp:// announce URL; udp:// needs a port, for example udp://tracker.example.org:6969/announce"
	// +listType=set
	// +optional
	Trackers []string `json:"trackers,omitempty"`

	// peers are host:port of peers to connect to besides those found, for
	// example seeder.example.org:6881 or [2001:db8::7]:6881.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=261
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|[[][0-9a-fA-F:.]+[]]):[0-9]{1,5}$') && int(self.substring(self.lastIndexOf(':') + 1)) > 0 && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535 && (!self.startsWith('[') || isIP(self.substring(1, self.lastIndexOf(']'))))",message="a peer must be host:port, for example seeder.example.org:6881 or [2001:db8::7]:6881"
	// +listType=set
	// +optional
	Peers []string `json:"peers,omitempty"`

	// credentials are for the trackers and web seeds that want them, each for
	// those of one origin.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=origin
	// +optional
	Credentials []Credential `json:"credentials,omitempty"`

	// webSeeds are URLs, http:// or https://, of web servers that have the
	// torrent's files, besides those that the torrent names. A URL that ends
	// in '/' is that of the folder in which the torrent's file or folder is;
	// so is any URL if the torrent has several files. It holds no user name
	// and no password.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.matches('^[A-Za-z]+://[^/?#]*@')",message="a web seed must be an http:// or https:// URL without user name and password"
	// +listType=set
	// +optional
	WebSeeds []string `json:"webSeeds,omitempty"`

	// pex says whether connected peers tell of further peers and are told of
	// them: Enabled or Disabled. A private torrent never does.
	// +kubebuilder:default=Enabled
	// +optional
	PEX Switch `json:"pex,omitempty"`

	// dht says whether peers are also found in the DHT, which tells strangers
	// that the torrent is wanted: Enabled or Disabled. It takes an operator that
	// runs with --dht; without, nothing is asked of the DHT. A private torrent's
	// peers are never looked for there.
	// +kubebuilder:default=Enabled
	// +optional
	DHT Switch `json:"dht,omitempty"`

	// local says whether peers are also found in the networks that the worker
	// is connected to, by multicast, which tells all of these networks that the
	// torrent is wanted: Enabled or Disabled. Few networks of Pods carry
	// multicast from one to another. A private torrent's peers are never looked
	// for so.
	// +kubebuilder:default=Disabled
	// +optional
	Local Switch `json:"local,omitempty"`

	// peerFilter says at which addresses there may be peers, found and calling
	// ones alike. A change closes connections to those that are not let any
	// more.
	// +optional
	PeerFilter PeerFilter `json:"peerFilter,omitzero"`
}

// Switch says whether something is done.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type Switch string

// The positions of a switch.
const (
	Enabled  Switch = "Enabled"
	Disabled Switch = "Disabled"
)

// PeerFilter says at which addresses there may be peers.
type PeerFilter struct {
	// allow are the networks in which there may be peers, in CIDR notation,
	// for example 10.0.0.0/8 or 2001:db8::/32. None means all.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="a network must be in CIDR notation, for example 10.0.0.0/8 or 2001:db8::/32; a single address is 10.0.0.1/32"
	// +listType=set
	// +optional
	Allow []string `json:"allow,omitempty"`

	// deny are networks in which there may be no peers, also if they are part
	// of one in allow.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="a network must be in CIDR notation, for example 10.0.0.0/8 or 2001:db8::/32; a single address is 10.0.0.1/32"
	// +listType=set
	// +optional
	Deny []string `json:"deny,omitempty"`
}
