package main

import (
	"bytes"
	"encoding/base64"
	"text/template"
)

const (
	// node is the name of the Node object, and that by which the operator
	// goes: a local volume belongs to one node.
	node = "demo-node"
	// resultPath is spec.volume.path.
	resultPath = "datasets"
)

// torrentDownload is what a user of the operator writes.
const torrentDownload = `apiVersion: torrent-operator.io/v1alpha1
kind: TorrentDownload
metadata:
  name: ` + name + `
spec:
  source:
    metainfoFrom:
      configMapKeyRef: {name: ` + name + `, key: ` + name + `.torrent}
  volume:
    claimName: ` + name + `
    path: ` + resultPath + `
  limits:
    downloadBytesPerSecond: ` + rate + ` # so that there is something to watch
`

// linked is the name of a second TorrentDownload, and its spec.volume.path.
const linked = "by-link"

// linkedDownload is how a user asks for a torrent of which there is a link; the
// link goes into its place.
const linkedDownload = `apiVersion: torrent-operator.io/v1alpha1
kind: TorrentDownload
metadata:
  name: ` + linked + `
spec:
  source:
    magnet: %q
  volume:
    claimName: ` + name + `
    path: ` + linked + `
`

// surroundings are what a cluster has before: a node, a volume on it, a claim,
// and the .torrent file.
var surroundings = template.Must(template.New("").Parse(`apiVersion: v1
kind: Node
metadata:
  name: {{.Node}}
  labels: {kubernetes.io/hostname: {{.Node}}}
---
apiVersion: v1
kind: PersistentVolume
metadata:
  name: {{.Name}}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  local: {path: {{printf "%q" .Volume}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: kubernetes.io/hostname, operator: In, values: [{{.Node}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{.Name}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: {{.Name}}
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{.Name}}
binaryData:
  {{.Name}}.torrent: {{.Metainfo}}
---
`))

// objects returns all that the demo applies, as one YAML file.
func objects(volume string, metainfo []byte) ([]byte, error) {
	var b bytes.Buffer
	err := surroundings.Execute(&b, map[string]string{
		"Name": name, "Node": node, "Volume": volume,
		"Metainfo": base64.StdEncoding.EncodeToString(metainfo),
	})
	b.WriteString(torrentDownload)
	return b.Bytes(), err
}
