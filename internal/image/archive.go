// Package image makes container images without Docker: archives in the layout
// of the Open Container Initiative (OCI), which containerd, podman, skopeo, kind
// and Docker load. It knows no registry. Command image and the tests on a
// cluster use it.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
)

// Image is the part of an image that one platform sees: a single layer.
type Image struct {
	Platform Platform
	Config   Config
	Files    []File
}

// Platform is an operating system and a processor, as Go names them.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// Config says how to run it; see the OCI's image configuration.
type Config struct {
	User       string            `json:"User,omitempty"` // as "1:1", without names
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

// File is a file that everybody may read. The folders above it are made.
type File struct {
	Path       string // without a slash before it
	Executable bool
	Content    []byte
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor names a blob; see the OCI's content descriptors.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *Platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// index lists manifests, one for each platform.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// configuration is the OCI's image configuration. It has no time, so that the
// same files are the same image.
type configuration struct {
	Platform
	Config Config `json:"config"`
	RootFS rootFS `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write writes an archive of one image for all its platforms, under a full
// name with a tag, such as ghcr.io/someone/something:v1.
func Write(w io.Writer, name string, images ...Image) error {
	a := archive{out: tar.NewWriter(w), written: map[string]bool{}}
	a.json("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"})
	all := index{SchemaVersion: 2, MediaType: typeIndex}
	for _, i := range images {
		layer, diff, err := i.layer()
		if err != nil {
			return fmt.Errorf("image %s for %s/%s: %w", name, i.Platform.OS, i.Platform.Architecture, err)
		}
		config := configuration{Platform: i.Platform, Config: i.Config, RootFS: rootFS{Type: "layers", DiffIDs: []string{diff}}}
		of := a.blob(typeManifest, encode(manifest{
			SchemaVersion: 2, MediaType: typeManifest,
			Config: a.blob(typeConfig, encode(config)),
			Layers: []descriptor{a.blob(typeLayer, layer)},
		}))
		of.Platform = &i.Platform
		all.Manifests = append(all.Manifests, of)
	}
	whole := a.blob(typeIndex, encode(all))
	whole.Annotations = map[string]string{
		"io.containerd.image.name":          name, // containerd and Docker
		"org.opencontainers.image.ref.name": name, // podman and skopeo
	}
	a.json("index.json", index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{whole}})
	if a.err != nil {
		return fmt.Errorf("writing the image %s: %w", name, a.err)
	}
	return a.out.Close()
}

// archive is an archive that is being written. The first error stays.
type archive struct {
	out     *tar.Writer
	written map[string]bool // paths
	err     error
}

// blob writes content once and describes it.
func (a *archive) blob(mediaType string, content []byte) descriptor {
	sum := digest(content)
	a.file("blobs/sha256/"+sum[len("sha256:"):], content)
	return descriptor{MediaType: mediaType, Digest: sum, Size: len(content)}
}

func (a *archive) json(name string, value any) { a.file(name, encode(value)) }

func (a *archive) file(name string, content []byte) {
	if a.err != nil || a.written[name] {
		return
	}
	a.written[name] = true
	a.err = a.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))})
	if a.err == nil {
		_, a.err = a.out.Write(content)
	}
}

// layer is the compressed layer, and the digest of what it is uncompressed.
func (i Image) layer() (layer []byte, diff string, err error) {
	var compressed bytes.Buffer
	sum := sha256.New()
	zip := gzip.NewWriter(&compressed)
	out := tar.NewWriter(io.MultiWriter(zip, sum))
	made := map[string]bool{".": true}
	for _, f := range i.Files {
		for _, folder := range foldersOf(f.Path) {
			if made[folder] {
				continue
			}
			made[folder] = true
			if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755}); err != nil {
				return nil, "", err
			}
		}
		mode := int64(0o644)
		if f.Executable {
			mode = 0o755
		}
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Mode: mode, Size: int64(len(f.Content))}); err != nil {
			return nil, "", err
		}
		if _, err := out.Write(f.Content); err != nil {
			return nil, "", err
		}
	}
	if err := out.Close(); err != nil {
		return nil, "", err
	}
	if err := zip.Close(); err != nil {
		return nil, "", err
	}
	return compressed.Bytes(), "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// foldersOf are the folders above a file, the highest first.
func foldersOf(file string) []string {
	var folders []string
	for d := path.Dir(file); d != "."; d = path.Dir(d) {
		folders = append(folders, d)
	}
	slices.Reverse(folders)
	return folders
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// encode encodes what cannot fail: strings, numbers and lists of them.
func encode(value any) []byte {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return b
}
