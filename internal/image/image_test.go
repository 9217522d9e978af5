package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/version"
)

// files reads all files of a tar archive, and folders with a slash and nothing
// in them.
func files(t *testing.T, r io.Reader) (content map[string][]byte, modes map[string]fs.FileMode) {
	t.Helper()
	content, modes = map[string][]byte{}, map[string]fs.FileMode{}
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return content, modes
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := content[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		if content[h.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = h.FileInfo().Mode().Perm()
	}
}

// stored is an archive that was read back.
type stored struct {
	*testing.T
	files map[string][]byte
}

// blob reads what a descriptor names, and checks that it is that.
func (s stored) blob(d descriptor) []byte {
	s.Helper()
	hash, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok {
		s.Fatalf("digest %q", d.Digest)
	}
	content := s.files["blobs/sha256/"+hash]
	sum := sha256.Sum256(content)
	if len(content) != d.Size || hex.EncodeToString(sum[:]) != hash {
		s.Fatalf("the blob of %+v has %d bytes and hash %x", d, len(content), sum)
	}
	return content
}

func (s stored) decode(content []byte, into any) {
	s.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		s.Fatalf("%v: %s", err, content)
	}
}

// platforms reads the index of the one image in the archive.
func (s stored) platforms(name string) index {
	s.Helper()
	var layout struct{ ImageLayoutVersion string }
	s.decode(s.files["oci-layout"], &layout)
	if layout.ImageLayoutVersion != "1.0.0" {
		s.Errorf("the layout is %+v", layout)
	}
	var top, all index
	s.decode(s.files["index.json"], &top)
	if len(top.Manifests) != 1 || top.Manifests[0].MediaType != typeIndex {
		s.Fatalf("the archive holds %+v", top)
	}
	for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if got := top.Manifests[0].Annotations[key]; got != name {
			s.Errorf("%s is %q, want %q", key, got, name)
		}
	}
	s.decode(s.blob(top.Manifests[0]), &all)
	return all
}

func TestTheOperatorsImageHasTheRightUserEntrypointAndLabelsOnEachPlatform(t *testing.T) {
	const name = "example.org/torrent-operator:v1.2.3"
	programs := map[string]string{"amd64": "a program", "arm64": "another program"}
	var images []Image
	for _, architecture := range []string{"amd64", "arm64"} {
		i, err := operator([]byte(programs[architecture]), []byte("a bill"), []byte("notices"), of, "linux/"+architecture)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, i)
	}
	var out bytes.Buffer
	if err := Write(&out, name, images...); err != nil {
		t.Fatal(err)
	}
	read, _ := files(t, &out)
	s := stored{T: t, files: read}
	seen := map[string]bool{}
	for _, d := range s.platforms(name).Manifests {
		if d.Platform == nil || d.Platform.OS != "linux" || programs[d.Platform.Architecture] == "" {
			t.Fatalf("a manifest is for %+v", d.Platform)
		}
		seen[d.Platform.Architecture] = true
		var m manifest
		var c configuration
		s.decode(s.blob(d), &m)
		s.decode(s.blob(m.Config), &c)
		if c.Platform != *d.Platform {
			t.Errorf("the configuration says %+v, its manifest %+v", c.Platform, d.Platform)
		}
		if want := []string{"/torrent-operator"}; c.Config.User != "65532:65532" || !cmp.Equal(c.Config.Entrypoint, want) {
			t.Errorf("the image runs %v as %s", c.Config.Entrypoint, c.Config.User)
		}
		for label, want := range map[string]string{"title": "torrent-operator", "licenses": "Apache-2.0", "version": "v1.2.3", "revision": "abc", "created": "2026-01-02T03:04:05Z"} {
			if got := c.Config.Labels["org.opencontainers.image."+label]; got != want {
				t.Errorf("label %s is %q, want %q", label, got, want)
			}
		}
		layer, modes := s.layer(m, c)
		if got := string(layer["torrent-operator"]); got != programs[d.Platform.Architecture] || modes["torrent-operator"] != 0o755 {
			t.Errorf("for %s the program is %q with mode %v", d.Platform.Architecture, got, modes["torrent-operator"])
		}
		if got := string(layer["usr/share/sbom/torrent-operator.spdx.json"]); got != "a bill" {
			t.Errorf("the bill of materials is %q", got)
		}
		if got := string(layer["usr/share/doc/torrent-operator/THIRD-PARTY-NOTICES"]); got != "notices" {
			t.Errorf("the licenses of others are %q", got)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(layer["etc/ssl/certs/ca-certificates.crt"]) {
			t.Error("no certificate authority is in the image")
		}
		if _, made := layer["etc/ssl/certs/"]; !made || modes["etc/ssl/certs/"] != 0o755 {
			t.Error("the folder of the certificates cannot be read by everybody")
		}
	}
	if len(seen) != len(programs) {
		t.Errorf("the image runs on %v only", seen)
	}
}

// layer reads the one layer of an image and checks the digest that its
// configuration has.
func (s stored) layer(m manifest, c configuration) (content map[string][]byte, modes map[string]fs.FileMode) {
	s.Helper()
	if len(m.Layers) != 1 || len(c.RootFS.DiffIDs) != 1 {
		s.Fatalf("%d layers, %d digests", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	zip, err := gzip.NewReader(bytes.NewReader(s.blob(m.Layers[0])))
	if err != nil {
		s.Fatal(err)
	}
	sum := sha256.New()
	content, modes = files(s.T, io.TeeReader(zip, sum))
	if _, err := io.Copy(sum, zip); err != nil { // what is left behind the end of the archive
		s.Fatal(err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != c.RootFS.DiffIDs[0] {
		s.Errorf("the layer has the digest %s, its configuration says %s", got, c.RootFS.DiffIDs[0])
	}
	return content, modes
}

func TestTheSameFilesAreTheSameImage(t *testing.T) {
	var archives [2]bytes.Buffer
	for i := range archives {
		if err := Write(&archives[i], "localhost/x:y", Image{
			Platform: Platform{OS: "linux", Architecture: "amd64"},
			Config:   Config{Labels: map[string]string{"a": "1", "b": "2", "c": "3"}},
			Files:    []File{{Path: "a/b", Content: []byte("c")}, {Path: "a/d", Content: []byte("e")}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		t.Error("two archives of the same files differ")
	}
}

func TestAPlatformThatIsNoneIsRefused(t *testing.T) {
	if _, err := operator(nil, nil, nil, version.Info{}, "amd64"); err == nil || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("the platform amd64: %v; want an error that says what one looks like", err)
	}
}
