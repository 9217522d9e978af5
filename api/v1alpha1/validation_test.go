package v1alpha1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// object is a TorrentDownload whose spec is the given YAML.
func object(t testing.TB, spec string) map[string]any {
	t.Helper()
	obj := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "TorrentDownload",
		"metadata":   map[string]any{"name": "imagenet", "namespace": "ml"},
	}
	var parsed map[string]any
	if err := yaml.UnmarshalStrict([]byte(spec), &parsed); err != nil {
		t.Fatalf("%v in\n%s", err, spec)
	}
	u := unstructured.Unstructured{Object: obj}
	u.Object["spec"] = numbers(parsed)
	return u.Object
}

// numbers turns the floats of a YAML decoder into the integers of Kubernetes'.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

// with is the smallest useful spec, and more.
func with(more string) string {
	return "source: {url: {address: 'https://example.org/a.torrent'}}\nvolume: {claimName: data}\n" + more
}

func withSource(source string) string {
	return "source: " + source + "\nvolume: {claimName: data}\n"
}

func withVolume(volume string) string {
	return "source: {url: {address: 'https://example.org/a.torrent'}}\nvolume: " + volume + "\n"
}

// many is so many different patterns of so many bytes, as YAML.
func many(n, size int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "'%s%03d', ", strings.Repeat("a", size-3), i)
	}
	return b.String()
}

func withURL(more string) string {
	return withSource("{url: {address: 'https://example.org/a.torrent', " + more + "}}")
}

func TestValidObjects(t *testing.T) {
	a := newAPIServer(t)
	hash40, hash64 := strings.Repeat("0aF9", 10), strings.Repeat("0aF9", 16)
	for name, spec := range map[string]string{
		"the smallest":               with(""),
		"plain http with a port":     withSource("{url: {address: 'http://10.0.0.1:8080/a.torrent?passkey=1@2'}}"),
		"url with everything":        withURL("headersSecretRef: {name: s}, caBundleRef: {name: ca, key: ca.crt}, sha256: '" + hash64 + "'"),
		"config map":                 withSource("{metainfoFrom: {configMapKeyRef: {name: torrents, key: a_b-c.torrent}}}"),
		"secret":                     withSource("{metainfoFrom: {secretKeyRef: {name: torrents, key: a.torrent}}}"),
		"magnet link":                withSource("{magnet: 'magnet:?xt=urn:btih:" + hash40 + "&dn=a+b&tr=http%3A%2F%2Ft%2Fannounce&so=0'}"),
		"magnet link in base32":      withSource("{magnet: 'MAGNET:?dn=a&xt.1=urn%3ABTIH%3A" + strings.Repeat("aB27", 8) + "'}"),
		"magnet link that is pinned": withSource("{magnet: 'magnet:?xt=urn:btih:"+strings.ToLower(hash40)+"'}") + "verification: {infoHash: '" + hash40 + "'}",
		"info hash and peers":        withSource("{infoHash: '"+hash40+"'}") + "discovery: {peers: ['h:1']}",
		"info hash and trackers":     withSource("{infoHash: '"+hash40+"'}") + "discovery: {trackers: ['http://t/a']}\nverification: {infoHash: '" + strings.ToUpper(hash40) + "'}",
		"path of one name":           withVolume("{claimName: data, path: imagenet}"),
		"deep path with dots in it":  withVolume("{claimName: data, path: 'a b/..c/.d/e..', preallocate: true}"),
		"path in another script":     withVolume("{claimName: data, path: 'данные/数据'}"),
		"path of the greatest name":  withVolume("{claimName: data, path: '" + strings.Repeat("x", 255) + "'}"),
		"claim to be made":           withVolume("{claimTemplate: {}}"),
		"claim of a kind":            withVolume("{claimTemplate: {storageClassName: fast, accessModes: [ReadWriteOncePod], size: 500Gi}, path: a}"),
		"claim without a class":      withVolume("{claimTemplate: {storageClassName: '', accessModes: [ReadWriteOnce, ReadWriteMany, ReadWriteOncePod]}}"),
		"the smallest claim":         withVolume("{claimTemplate: {size: 1Mi}}"),
		"the greatest claim":         withVolume("{claimTemplate: {size: 1E}}"),
		"a Pod as it comes":          with("worker: {}\nnetwork: {}"),
		"a Pod with everything": with("worker: {resources: {requests: {cpu: 500m, memory: 128Mi}, limits: {memory: 1Gi, example.com/dongle: 1}}, " +
			"nodeSelector: {kubernetes.io/arch: amd64, empty: ''}, tolerations: [{key: dedicated, operator: Equal, value: data, effect: NoSchedule}, {operator: Exists}], " +
			"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}}}, " +
			"topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}], " +
			"priorityClassName: low, labels: {team: ml}, annotations: {example.org/note: 'any words'}, imagePullSecrets: [{name: a}, {name: b}], fsGroup: 1}"),
		"a Pod with as much as can be": with("worker: {nodeSelector: {" + manyKeys(32) + "}, labels: {" + manyKeys(32) + "}, annotations: {" + manyKeys(31) + "a: '" + strings.Repeat("x", 4096) + "'}, " +
			"tolerations: [" + strings.Repeat("{operator: Exists},", 64) + "], topologySpreadConstraints: [" + manySpreads(16) + "], fsGroup: 2147483647}"),
		"the lowest port":            with("network: {listenPort: 1024, service: NodePort}"),
		"only encryption":            with("network: {encryption: Require}"),
		"the highest port":           with("network: {listenPort: 65535, service: LoadBalancer}"),
		"no Service":                 with("network: {service: None}"),
		"no second attempt":          with("retry: {backoffLimit: 0, activeDeadlineSeconds: 0}"),
		"a thousand attempts":        with("retry: {backoffLimit: 1000, activeDeadlineSeconds: 315360000}"),
		"gone at once":               with("ttlSecondsAfterFinished: 0"),
		"gone after ten years":       with("ttlSecondsAfterFinished: 315360000"),
		"trackers":                   with("discovery: {trackers: ['http://t.example:6969/announce', 'https://t.example/announce?x=1', 'http://[::1]:80/a', 'udp://t.example:6969', 'udp://[::1]:65535/announce?key=1']}"),
		"peers":                      with("discovery: {peers: ['seeder.example.org:6881', '10.0.0.1:1', '[2001:db8::7]:65535', 'h:6881']}"),
		"web seeds":                  with("discovery: {webSeeds: ['http://w.example/', 'https://w.example:8443/a/b.iso?key=x', 'http://[::1]/a%20b/']}"),
		"peer exchange":              with("discovery: {pex: Disabled}"),
		"peer filter":                with("discovery: {peerFilter: {allow: ['10.0.0.0/8', '2001:db8::/32', '10.0.0.1/32'], deny: ['0.0.0.0/0', '::/0', '10.1.2.3/8']}}"),
		"credentials":                with("discovery: {credentials: [{origin: 'https://t.example', headersSecretRef: {name: s}, caBundleRef: {name: c, key: ca.crt}}, {origin: 'http://[::1]:8080', headersSecretRef: {name: s}}]}"),
		"empty structs and lists":    with("discovery: {trackers: [], peers: [], webSeeds: [], peerFilter: {allow: [], deny: []}}\nverification: {}\nseeding: {}\nlimits: {}\nretry: {}"),
		"files":                      with("files: {include: ['*.tar', '/README', 'a/**/b'], exclude: [test/, '[a-z]?.{x,y}'], order: Sequential}"),
		"files with dots":            with("files: {include: ['..a', 'b..', '.hidden', 'a/.b', 'c./...']}"),
		"files by priority":          with("files: {priority: {high: [index.json]}}"),
		"as many and as long":        with("files: {priority: {low: [" + many(64, 512) + "]}}"),
		"pinned hash":                with("verification: {infoHash: '" + hash40 + "'}"),
		"suspended":                  with("suspend: true"),
		"seeding to a ratio":         with("seeding: {policy: Ratio, ratioPercent: 150}"),
		"seeding for a time":         with("seeding: {policy: Duration, durationSeconds: 3600}"),
		"seeding forever":            with("seeding: {policy: Forever}"),
		"limits":                     with("limits: {downloadBytesPerSecond: 100Mi, uploadBytesPerSecond: 1048576, maxPeers: 1}"),
		"limits in other units":      with("limits: {downloadBytesPerSecond: '1e6', uploadBytesPerSecond: 1.5Ki}"),
		"never stalled":              with("retry: {stallTimeoutSeconds: 0}"),
		"data goes with the object":  with("deletionPolicy: Delete"),
		"data stays with the volume": with("deletionPolicy: Retain"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, errs := a.admit(object(t, spec), nil); len(errs) > 0 {
				t.Error(errs.ToAggregate())
			}
		})
	}
}

// What the messages of several refusals have in common.
const (
	isURL     = "address must be an http:// or https:// URL of a .torrent file"
	isTracker = "a tracker must be an http://, https:// or udp:// announce URL; udp:// needs a port, for example udp://tracker.example.org:6969/announce"
	isWebSeed = "a web seed must be an http:// or https:// URL without user name and password"
	isOrigin  = "origin must be the beginning of an http:// or https:// URL up to its host and port"
	isPeer    = "a peer must be host:port, for example seeder.example.org:6881 or [2001:db8::7]:6881"
	isPath    = "no '..', no '.', no '//' and no '/' at its end"
	isName    = "path must have names of at most 255 bytes and 1024 bytes in all, without control characters"
	isPattern = "a pattern must be a path or a name below the torrent's folder"
	isSize    = "size must be between 1Mi and 1E, for example 500Gi"
	isRate    = "must be between 1 and 1P bytes"
)

// refused are specs, and what the person who wrote them is told.
var refused = map[string]struct{ spec, message string }{
	"empty pattern":        {with("files: {include: ['']}"), "should be at least 1 chars long"},
	"pattern leading up":   {with("files: {exclude: [a/../b]}"), isPattern},
	"pattern of here":      {with("files: {include: [./a]}"), isPattern},
	"pattern //":           {with("files: {priority: {high: [a//b]}}"), isPattern},
	"pattern of the root":  {with("files: {priority: {low: [/]}}"), isPattern},
	"pattern twice":        {with("files: {include: [a, a]}"), "Duplicate value"},
	"pattern too long":     {with("files: {include: [" + many(1, 513) + "]}"), "may not be more than 512"},
	"too many patterns":    {with("files: {include: [" + many(65, 4) + "]}"), "must have at most 64 items"},
	"other order":          {with("files: {order: Backwards}"), "supported values"},
	"empty priority":       {with("files: {priority: {}}"), "should have at least 1 properties"},
	"no source":            {"volume: {claimName: data}", "spec.source: Required value"},
	"no volume":            {"source: {url: {address: 'https://example.org/a'}}", "spec.volume: Required value"},
	"empty source":         {withSource("{}"), "exactly one of the fields in [magnet infoHash url metainfoFrom] must be set"},
	"two sources":          {withSource("{url: {address: 'https://e.org/a'}, metainfoFrom: {secretKeyRef: {name: a, key: b}}}"), "exactly one of the fields in [magnet infoHash url metainfoFrom] must be set"},
	"no magnet link":       {withSource("{magnet: 'http://example.org/?xt=urn:btih:" + strings.Repeat("a", 40) + "'}"), "magnet must be a magnet link, which begins with magnet:?"},
	"magnet link of v2":    {withSource("{magnet: 'magnet:?xt=urn:btmh:1220" + strings.Repeat("a", 64) + "'}"), "magnet must name the torrent by xt=urn:btih:"},
	"magnet link cut off":  {withSource("{magnet: 'magnet:?xt=urn:btih:" + strings.Repeat("a", 39) + "'}"), "magnet must name the torrent by xt=urn:btih:"},
	"magnet link too long": {withSource("{magnet: 'magnet:?xt=urn:btih:" + strings.Repeat("a", 40) + "&dn=" + strings.Repeat("a", 8192) + "'}"), "may not be more than 8192"},
	"another hash pinned":  {withSource("{magnet: 'magnet:?xt=urn:btih:"+strings.Repeat("a", 40)+"'}") + "verification: {infoHash: '" + strings.Repeat("b", 40) + "'}", "verification.infoHash differs from the info hash of source.magnet"},
	"two hashes":           {withSource("{infoHash: '"+strings.Repeat("a", 40)+"'}") + "discovery: {peers: ['h:1']}\nverification: {infoHash: '" + strings.Repeat("b", 40) + "'}", "verification.infoHash differs from source.infoHash"},
	"hash without peers":   {withSource("{infoHash: '" + strings.Repeat("a", 40) + "'}"), "source.infoHash says nothing about where peers are"},
	"hash and no peers":    {withSource("{infoHash: '"+strings.Repeat("a", 40)+"'}") + "discovery: {peers: [], trackers: []}", "source.infoHash says nothing about where peers are"},
	"source hash not hex":  {withSource("{infoHash: '"+strings.Repeat("z", 40)+"'}") + "discovery: {peers: ['h:1']}", "infoHash must be a v1 info hash: 40 hexadecimal digits"},
	"a source to come":     {withSource("{torrent: x}"), "unknown field"},
	"ftp":                  {withSource("{url: {address: 'ftp://example.org/a.torrent'}}"), isURL},
	"no scheme":            {withSource("{url: {address: 'example.org/a.torrent'}}"), isURL},
	"no host":              {withSource("{url: {address: 'https:///a.torrent'}}"), isURL},
	"password in a URL":    {withSource("{url: {address: 'https://me:secret@example.org/a.torrent'}}"), "put an Authorization header into a Secret and name it in headersSecretRef"},
	"URL too long":         {withSource("{url: {address: 'https://example.org/" + strings.Repeat("a", 2048) + "'}}"), "may not be more than 2048"},
	"sha256 not hex":       {withURL("sha256: '" + strings.Repeat("x", 64) + "'"), "sha256 must be 64 hexadecimal digits, as sha256sum prints them"},
	"sha256 of SHA-1":      {withURL("sha256: '" + strings.Repeat("a", 40) + "'"), "spec.source.url.sha256"},
	"no key":               {withSource("{metainfoFrom: {configMapKeyRef: {name: a}}}"), "key: Required value"},
	"odd key":              {withSource("{metainfoFrom: {configMapKeyRef: {name: a, key: 'a/b'}}}"), "key must be a key of the object"},
	"odd name":             {withSource("{metainfoFrom: {secretKeyRef: {name: A_b, key: k}}}"), "name must be the name of an object"},
	"odd name of headers":  {withURL("headersSecretRef: {name: A_b}"), "name must be the name of an object"},
	"neither map nor key":  {withSource("{metainfoFrom: {}}"), "exactly one of the fields in [configMapKeyRef secretKeyRef] must be set"},
	"both map and secret":  {withSource("{metainfoFrom: {configMapKeyRef: {name: a, key: b}, secretKeyRef: {name: a, key: b}}}"), "exactly one of the fields in [configMapKeyRef secretKeyRef] must be set"},
	"no claim":             {withVolume("{path: a}"), "exactly one of the fields in [claimName claimTemplate] must be set"},
	"odd claim":            {withVolume("{claimName: My_Data}"), "claimName must be the name of a PersistentVolumeClaim"},
	"two claims":           {withVolume("{claimName: a, claimTemplate: {}}"), "exactly one of the fields in [claimName claimTemplate] must be set"},
	"odd class":            {withVolume("{claimTemplate: {storageClassName: Fast_One}}"), "storageClassName must be the name of a StorageClass"},
	"read-only claim":      {withVolume("{claimTemplate: {accessModes: [ReadOnlyMany]}}"), "Unsupported value"},
	"no access":            {withVolume("{claimTemplate: {accessModes: []}}"), "should have at least 1 items"},
	"access twice":         {withVolume("{claimTemplate: {accessModes: [ReadWriteOnce, ReadWriteOnce]}}"), "Duplicate value"},
	"claim too small":      {withVolume("{claimTemplate: {size: 1048575}}"), isSize},
	"claim too great":      {withVolume("{claimTemplate: {size: 1001P}}"), isSize},
	"claim of many digits": {withVolume("{claimTemplate: {size: '" + strings.Repeat("0", 40) + "1Gi'}}"), isSize},
	"an image":             {with("worker: {image: busybox}"), "unknown field"},
	"a service account":    {with("worker: {serviceAccountName: admin}"), "unknown field"},
	"the host's network":   {with("worker: {hostNetwork: true}"), "unknown field"},
	"a security context":   {with("worker: {securityContext: {runAsUser: 0}}"), "unknown field"},
	"claims of devices":    {with("worker: {resources: {claims: [{name: a}]}}"), "unknown field"},
	"amount in words":      {with("worker: {resources: {limits: {memory: much}}}"), "spec.worker.resources.limits.memory"},
	"our label":            {with("worker: {labels: {torrent-operator.io/uid: a}}"), "labels that begin with torrent-operator.io/ are the operator's own"},
	"our annotation":       {with("worker: {annotations: {torrent-operator.io/uid: a}}"), "annotations that begin with torrent-operator.io/ are the operator's own"},
	"odd label":            {with("worker: {labels: {a: 'b c'}}"), "should match"},
	"label of 64":          {with("worker: {labels: {a: '" + strings.Repeat("x", 64) + "'}}"), "may not be more than 63"},
	"selector of 64":       {with("worker: {nodeSelector: {a: '" + strings.Repeat("x", 64) + "'}}"), "may not be more than 63"},
	"annotation of 4097":   {with("worker: {annotations: {a: '" + strings.Repeat("x", 4097) + "'}}"), "may not be more than 4096"},
	"too many labels":      {with("worker: {labels: {" + manyKeys(33) + "}}"), "must have at most 32"},
	"too many annotations": {with("worker: {annotations: {" + manyKeys(33) + "}}"), "must have at most 32"},
	"too many selectors":   {with("worker: {nodeSelector: {" + manyKeys(33) + "}}"), "must have at most 32"},
	"too many tolerations": {with("worker: {tolerations: [" + strings.Repeat("{operator: Exists},", 65) + "]}"), "must have at most 64 items"},
	"too many spreads":     {with("worker: {topologySpreadConstraints: [" + manySpreads(17) + "]}"), "must have at most 16 items"},
	"pull secret twice":    {with("worker: {imagePullSecrets: [{name: a}, {name: a}]}"), "Duplicate value"},
	"odd priority":         {with("worker: {priorityClassName: Low_One}"), "priorityClassName must be the name of a PriorityClass"},
	"group 0":              {with("worker: {fsGroup: 0}"), "should be greater than or equal to 1"},
	"group beyond all":     {with("worker: {fsGroup: 2147483648}"), "should be less than or equal to 2147483647"},
	"port of root":         {with("network: {listenPort: 1023}"), "should be greater than or equal to 1024"},
	"no port":              {with("network: {listenPort: 65536}"), "should be less than or equal to 65535"},
	"no such encryption":   {with("network: {encryption: Forced}"), `supported values: "Allow", "Prefer", "Require", "Disable"`},
	"internal Service":     {with("network: {service: ClusterIP}"), `supported values: "None", "NodePort", "LoadBalancer"`},
	"attempts below 0":     {with("retry: {backoffLimit: -1}"), "should be greater than or equal to 0"},
	"1001 attempts":        {with("retry: {backoffLimit: 1001}"), "should be less than or equal to 1000"},
	"deadline in the past": {with("retry: {activeDeadlineSeconds: -1}"), "should be greater than or equal to 0"},
	"deadline of ages":     {with("retry: {activeDeadlineSeconds: 315360001}"), "should be less than or equal to 315360000"},
	"gone before":          {with("ttlSecondsAfterFinished: -1"), "should be greater than or equal to 0"},
	"gone after ages":      {with("ttlSecondsAfterFinished: 315360001"), "should be less than or equal to 315360000"},
	"absolute path":        {withVolume("{claimName: data, path: /etc}"), "path must be relative to the root of the claim: remove the leading '/'"},
	"path that leads out":  {withVolume("{claimName: data, path: a/../../b}"), isPath},
	"path of the parent":   {withVolume("{claimName: data, path: ..}"), isPath},
	"path of a dot":        {withVolume("{claimName: data, path: .}"), isPath},
	"path with a hole":     {withVolume("{claimName: data, path: a//b}"), isPath},
	"path with an end":     {withVolume("{claimName: data, path: a/}"), isPath},
	"empty path":           {withVolume("{claimName: data, path: ''}"), "spec.volume.path"},
	"name too long":        {withVolume("{claimName: data, path: 'a/" + strings.Repeat("x", 256) + "'}"), isName},
	"name of 300 bytes":    {withVolume("{claimName: data, path: 'a/" + strings.Repeat("数", 100) + "'}"), isName},
	"path of 1200 bytes":   {withVolume("{claimName: data, path: '" + strings.Repeat("数据/", 171) + "数'}"), isName},
	"newline in a path":    {withVolume(`{claimName: data, path: "a\nb"}`), isName},
	"NUL in a path":        {withVolume(`{claimName: data, path: "a\0b"}`), isName},
	"UDP without port":     {with("discovery: {trackers: ['udp://t.example/announce']}"), isTracker},
	"UDP beyond ports":     {with("discovery: {trackers: ['udp://t.example:65536/announce']}"), isTracker},
	"UDP with port 0":      {with("discovery: {trackers: ['udp://t.example:0/announce']}"), isTracker},
	"UDP without host":     {with("discovery: {trackers: ['udp://:6969/announce']}"), isTracker},
	"WebSocket tracker":    {with("discovery: {trackers: ['wss://t.example:6969/announce']}"), isTracker},
	"tracker without host": {with("discovery: {trackers: ['http://']}"), isTracker},
	"not a tracker":        {with("discovery: {trackers: ['t.example']}"), isTracker},
	"tracker twice":        {with("discovery: {trackers: ['http://t/a', 'http://t/a']}"), "Duplicate value"},
	"neither on nor off":   {with("discovery: {pex: maybe}"), "Unsupported value"},
	"address as network":   {with("discovery: {peerFilter: {allow: ['10.0.0.1']}}"), "a network must be in CIDR notation"},
	"network too narrow":   {with("discovery: {peerFilter: {deny: ['10.0.0.0/33']}}"), "a network must be in CIDR notation"},
	"network by name":      {with("discovery: {peerFilter: {deny: ['example.org/8']}}"), "a network must be in CIDR notation"},
	"network twice":        {with("discovery: {peerFilter: {deny: ['10.0.0.0/8', '10.0.0.0/8']}}"), "Duplicate value"},
	"credential: a path":   {with("discovery: {credentials: [{origin: 'https://t.example/', headersSecretRef: {name: s}}]}"), isOrigin},
	"credential: a user":   {with("discovery: {credentials: [{origin: 'https://me@t.example', headersSecretRef: {name: s}}]}"), isOrigin},
	"credential: a host":   {with("discovery: {credentials: [{origin: 't.example', headersSecretRef: {name: s}}]}"), isOrigin},
	"credential: any host": {with("discovery: {credentials: [{origin: 'https://', headersSecretRef: {name: s}}]}"), isOrigin},
	"credential: nothing":  {with("discovery: {credentials: [{origin: 'https://t.example'}]}"), "needs headersSecretRef, caBundleRef, or both"},
	"credential: no TLS":   {with("discovery: {credentials: [{origin: 'http://t.example', caBundleRef: {name: c, key: k}}]}"), "https://"},
	"credential: twice":    {with("discovery: {credentials: [{origin: 'http://t', headersSecretRef: {name: s}}, {origin: 'http://t', headersSecretRef: {name: r}}]}"), "Duplicate value"},
	"too many trackers":    {with("discovery: {trackers: [" + manyTrackers(65) + "]}"), "must have at most 64 items"},
	"peer without port":    {with("discovery: {peers: ['10.0.0.1']}"), isPeer},
	"peer with port 0":     {with("discovery: {peers: ['10.0.0.1:0']}"), isPeer},
	"peer with port 65536": {with("discovery: {peers: ['10.0.0.1:65536']}"), isPeer},
	"bare IPv6 peer":       {with("discovery: {peers: ['2001:db8::7:6881']}"), isPeer},
	"not quite IPv6":       {with("discovery: {peers: ['[2001:db8:::7]:6881']}"), isPeer},
	"peer as a URL":        {with("discovery: {peers: ['http://a:80']}"), isPeer},
	"FTP web seed":         {with("discovery: {webSeeds: ['ftp://w.example/']}"), isWebSeed},
	"web seed of nobody":   {with("discovery: {webSeeds: ['http:///a']}"), isWebSeed},
	"password in web seed": {with("discovery: {webSeeds: ['http://u:p@w.example/']}"), isWebSeed},
	"web seed twice":       {with("discovery: {webSeeds: ['http://w/', 'http://w/']}"), "Duplicate value"},
	"too many web seeds":   {with("discovery: {webSeeds: [" + manyTrackers(17) + "]}"), "must have at most 16 items"},
	"overlong web seed":    {with("discovery: {webSeeds: ['http://w/" + strings.Repeat("x", 2040) + "']}"), "may not be more than 2048"},
	"hash not hex":         {with("verification: {infoHash: '" + strings.Repeat("z", 40) + "'}"), "infoHash must be a v1 info hash: 40 hexadecimal digits"},
	"ratio without ratio":  {with("seeding: {policy: Ratio}"), "policy Ratio needs ratioPercent, for example 150"},
	"ratio without policy": {with("seeding: {ratioPercent: 150}"), "ratioPercent needs policy Ratio: set the policy or remove ratioPercent"},
	"time without time":    {with("seeding: {policy: Duration, ratioPercent: 3}"), "policy Duration needs durationSeconds, for example 3600"},
	"time without policy":  {with("seeding: {policy: Forever, durationSeconds: 3}"), "durationSeconds needs policy Duration: set the policy or remove durationSeconds"},
	"unknown policy":       {with("seeding: {policy: Always}"), `supported values: "None", "Ratio", "Duration", "Forever"`},
	"ratio 0":              {with("seeding: {policy: Ratio, ratioPercent: 0}"), "should be greater than or equal to 1"},
	"limit 0":              {with("limits: {downloadBytesPerSecond: 0}"), isRate + ", for example 100Mi (to stop a download set suspend)"},
	"limit below 0":        {with("limits: {uploadBytesPerSecond: -5}"), isRate},
	"part of a byte":       {with("limits: {uploadBytesPerSecond: 100m}"), isRate},
	"more than anything":   {with("limits: {downloadBytesPerSecond: 100E}"), isRate},
	"limit of many digits": {with("limits: {downloadBytesPerSecond: '" + strings.Repeat("0", 40) + "1'}"), isRate},
	"no number":            {with("limits: {downloadBytesPerSecond: fast}"), "downloadBytesPerSecond"},
	"too many peers":       {with("limits: {maxPeers: 1001}"), "should be less than or equal to 1000"},
	"negative stall time":  {with("retry: {stallTimeoutSeconds: -1}"), "should be greater than or equal to 0"},
	"unknown disposal":     {with("deletionPolicy: Recycle"), `supported values: "Retain", "Delete"`},
	"unknown field":        {with("sedding: {}"), "unknown field"},
}

func TestInvalidObjectsSayWhatToDo(t *testing.T) {
	a := newAPIServer(t)
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			_, errs := a.admit(object(t, c.spec), nil)
			if len(errs) == 0 {
				t.Fatal("accepted")
			}
			if got := errs.ToAggregate().Error(); !strings.Contains(got, c.message) {
				t.Errorf("got  %s\nwant %s", got, c.message)
			}
		})
	}
}

func manyTrackers(n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf("'http://t%d/a'", i))
	}
	return strings.Join(s, ",")
}

// manyKeys are n entries of a map, each with a comma after it.
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "example.org/k%d: v, ", i)
	}
	return b.String()
}

func manySpreads(n int) string {
	return strings.Repeat("{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway},", n)
}

func TestUpdates(t *testing.T) {
	a := newAPIServer(t)
	const (
		sourceStays = "source can't be changed: create another TorrentDownload for another torrent"
		claimStays  = "claimName can't be changed: a download does not move"
		classStays  = "storageClassName can't be changed: create another TorrentDownload for another class"
		modesStay   = "accessModes can't be changed: create another TorrentDownload for other ones"
		onlyGrows   = "size can only grow: a claim does not shrink"
		pathStays   = "path can't be changed: a download does not move"
	)
	for name, c := range map[string]struct{ from, to, message string }{
		"nothing":             {with(""), with(""), ""},
		"another address":     {with(""), withSource("{url: {address: 'https://example.org/b.torrent'}}"), sourceStays},
		"another source":      {with(""), withSource("{metainfoFrom: {secretKeyRef: {name: a, key: b}}}"), sourceStays},
		"a checksum later":    {with(""), withURL("sha256: '" + strings.Repeat("a", 64) + "'"), sourceStays},
		"another claim":       {with(""), withVolume("{claimName: other}"), claimStays},
		"a claim to be made":  {with(""), withVolume("{claimTemplate: {}}"), claimStays},
		"a claim that is":     {withVolume("{claimTemplate: {}}"), with(""), claimStays},
		"another class":       {withVolume("{claimTemplate: {storageClassName: a}}"), withVolume("{claimTemplate: {storageClassName: b}}"), classStays},
		"a class later":       {withVolume("{claimTemplate: {}}"), withVolume("{claimTemplate: {storageClassName: ''}}"), classStays},
		"no class any more":   {withVolume("{claimTemplate: {storageClassName: a}}"), withVolume("{claimTemplate: {}}"), classStays},
		"other modes":         {withVolume("{claimTemplate: {}}"), withVolume("{claimTemplate: {accessModes: [ReadWriteMany]}}"), modesStay},
		"the modes as before": {withVolume("{claimTemplate: {}}"), withVolume("{claimTemplate: {accessModes: [ReadWriteOnce]}}"), ""},
		"a size later":        {withVolume("{claimTemplate: {}}"), withVolume("{claimTemplate: {size: 1Gi}}"), ""},
		"a greater size":      {withVolume("{claimTemplate: {size: 1Gi}}"), withVolume("{claimTemplate: {size: 1025Mi}}"), ""},
		"the size otherwise":  {withVolume("{claimTemplate: {size: 1Gi}}"), withVolume("{claimTemplate: {size: 1024Mi}}"), ""},
		"a smaller size":      {withVolume("{claimTemplate: {size: 1Gi}}"), withVolume("{claimTemplate: {size: 1023Mi}}"), onlyGrows},
		"no size any more":    {withVolume("{claimTemplate: {size: 1Gi}}"), withVolume("{claimTemplate: {}}"), onlyGrows},
		"another Pod":         {with("worker: {fsGroup: 1}\nnetwork: {listenPort: 2000}"), with("worker: {priorityClassName: low}\nttlSecondsAfterFinished: 9"), ""},
		"another path":        {withVolume("{claimName: data, path: a}"), withVolume("{claimName: data, path: b}"), pathStays},
		"a path later":        {with(""), withVolume("{claimName: data, path: b}"), pathStays},
		"no path any more":    {withVolume("{claimName: data, path: a}"), with(""), pathStays},
		"preallocate later":   {with(""), withVolume("{claimName: data, preallocate: true}"), ""},
		"a corrected pin":     {with("verification: {infoHash: '" + strings.Repeat("a", 40) + "'}"), with(""), ""},
		"other operation":     {with(""), with("suspend: true\nlimits: {maxPeers: 3}\nseeding: {policy: Forever}\ndiscovery: {peers: ['a:1']}\ndeletionPolicy: Delete"), ""},
		"operation as before": {with("suspend: true\nlimits: {maxPeers: 3}\nseeding: {policy: Forever}\ndiscovery: {peers: ['a:1']}\ndeletionPolicy: Delete"), with(""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			old, errs := a.admit(object(t, c.from), nil)
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			_, errs = a.admit(object(t, c.to), old)
			switch {
			case c.message == "" && len(errs) > 0:
				t.Error(errs.ToAggregate())
			case c.message != "" && (len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), c.message)):
				t.Errorf("got %v, want %q", errs.ToAggregate(), c.message)
			}
		})
	}
}

// A new object reads as not yet observed, and its defaults are in it for
// everybody to see.
func TestDefaults(t *testing.T) {
	a := newAPIServer(t)
	stored, errs := a.admit(object(t, with("")), nil)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	var td v1alpha1.TorrentDownload
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(stored, &td); err != nil {
		t.Fatal(err)
	}
	if td.Status.ObservedGeneration != -1 {
		t.Errorf("status.observedGeneration is %d: kstatus would read a new object as current", td.Status.ObservedGeneration)
	}
	if got := td.Spec.Seeding.Policy; got != v1alpha1.SeedingNone {
		t.Errorf("seeding.policy is %q", got)
	}
	if got := td.Spec.DeletionPolicy; got != v1alpha1.DeletionRetain {
		t.Errorf("deletionPolicy is %q", got)
	}
	if got := td.Spec.Retry.StallTimeoutSeconds; got == nil || *got != v1alpha1.DefaultStallTimeoutSeconds {
		t.Errorf("retry.stallTimeoutSeconds is %v", got)
	}
	if got := td.Spec.Retry.BackoffLimit; got == nil || *got != v1alpha1.DefaultBackoffLimit {
		t.Errorf("retry.backoffLimit is %v", got)
	}
}

// A status full to the brim is accepted: what the operator writes at most is
// what the definition allows.
func TestStatusAtItsLargest(t *testing.T) {
	a := newAPIServer(t)
	obj := object(t, with(""))
	obj["status"] = map[string]any{
		"observedGeneration": int64(3),
		"infoHash":           map[string]any{"v1": strings.Repeat("a", 40)},
		"name":               strings.Repeat("n", 255),
		"progress":           map[string]any{"percent": int64(100), "bytesTotal": int64(1) << 60, "bytesVerified": int64(1) << 60},
		"pieces":             map[string]any{"length": int64(1) << 40, "total": int64(4018567), "verified": int64(0), "map": strings.Repeat("A", 1368), "encoding": "Bitfield"},
		"peers":              map[string]any{"connected": int64(0)},
		"volume":             map[string]any{"claimName": strings.Repeat("c", 253)},
		"worker": map[string]any{
			"name": strings.Repeat("j", 253), "podName": strings.Repeat("p", 253), "nodeName": strings.Repeat("n", 253), "restarts": int64(20),
			"lastFailure": map[string]any{"reason": strings.Repeat("R", 64), "message": strings.Repeat("m", 512), "exitCode": int64(-1), "time": "2026-03-01T12:00:00Z"},
		},
		"retries": int64(1000),
	}
	if _, errs := a.admit(obj, nil); len(errs) > 0 {
		t.Error(errs.ToAggregate())
	}
	pieces := obj["status"].(map[string]any)["pieces"].(map[string]any)
	delete(pieces, "encoding")
	if _, errs := a.admit(obj, nil); len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), "map and encoding go together") {
		t.Errorf("a map without encoding: %v", errs.ToAggregate())
	}
}

// Every TorrentDownload in config/samples would be accepted as it stands.
func TestSamples(t *testing.T) {
	a := newAPIServer(t)
	files, err := filepath.Glob(filepath.FromSlash("../../config/samples/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(b), "\n---\n") {
			var obj map[string]any
			if err := yaml.UnmarshalStrict([]byte(doc), &obj); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if obj["kind"] != "TorrentDownload" {
				continue
			}
			seen++
			if _, errs := a.admit(numbers(obj).(map[string]any), nil); len(errs) > 0 {
				t.Errorf("%s: %v", file, errs.ToAggregate())
			}
		}
	}
	if seen < 3 {
		t.Errorf("%d TorrentDownloads in config/samples", seen)
	}
}
