package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nobody is the user of the image, who has no name and no rights.
const nobody = "65532:65532"

// WriteOperator writes an archive of the operator's image under a name, for
// platforms such as linux/amd64. It builds the program of the module in which
// the working directory lies.
func WriteOperator(ctx context.Context, w io.Writer, name, version string, platforms ...string) error {
	var images []Image
	for _, p := range platforms {
		program, err := build(ctx, p)
		if err != nil {
			return err
		}
		i, err := operator(program, version, p)
		if err != nil {
			return err
		}
		images = append(images, i)
	}
	return Write(w, name, images...)
}

// operator is the image that Dockerfile describes, without a base below it.
func operator(program []byte, version, platform string) (Image, error) {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return Image{}, fmt.Errorf("%q is no platform, which would be linux/amd64 for instance", platform)
	}
	certificates, err := authorities()
	if err != nil {
		return Image{}, err
	}
	return Image{
		Platform: Platform{OS: system, Architecture: architecture},
		Config: Config{
			User:       nobody,
			Entrypoint: []string{"/torrent-operator"},
			WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":       "torrent-operator",
				"org.opencontainers.image.description": "Turns a TorrentDownload into verified bytes on a PersistentVolume",
				"org.opencontainers.image.source":      "https://github.com/torrent-operator/torrent-operator",
				"org.opencontainers.image.licenses":    "Apache-2.0",
				"org.opencontainers.image.version":     version,
			},
		},
		Files: []File{
			{Path: "etc/passwd", Content: []byte("nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
			{Path: "etc/group", Content: []byte("nonroot:x:65532:\n")},
			{Path: "etc/ssl/certs/ca-certificates.crt", Content: certificates},
			{Path: "torrent-operator", Executable: true, Content: program},
		},
	}, nil
}

// build builds the program for a platform, static.
func build(ctx context.Context, platform string) ([]byte, error) {
	system, architecture, _ := strings.Cut(platform, "/")
	dir, err := os.MkdirTemp("", "torrent-operator-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "torrent-operator")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program,
		"github.com/torrent-operator/torrent-operator")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building torrent-operator for %s: %w: %s", platform, err, out)
	}
	return os.ReadFile(program)
}
