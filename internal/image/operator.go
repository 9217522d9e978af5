package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/version"
)

// nobody is the user of the image, who has no name and no rights.
const nobody = "65532:65532"

// billPath is where in the image its bill of materials lies: scanners look for
// names that end so.
const billPath = "usr/share/sbom/torrent-operator.spdx.json"

// noticesPath is where the licenses of what it consists of lie.
const noticesPath = "usr/share/doc/torrent-operator/THIRD-PARTY-NOTICES"

// WriteOperator writes an archive of the operator's image under a name, for
// platforms such as linux/amd64. It builds the program of the module in which
// the working directory lies, and has it say what it was built from. The same
// source and compiler make the same archive, byte for byte.
func WriteOperator(ctx context.Context, w io.Writer, name string, of version.Info, platforms ...string) error {
	var images []Image
	for _, p := range platforms {
		program, err := build(ctx, of, p)
		if err != nil {
			return err
		}
		licenses, err := Licenses(ctx, p, programPackage, imagePackage)
		if err != nil {
			return err
		}
		bill, err := SBOM(program, of, licenses)
		if err != nil {
			return err
		}
		i, err := operator(program, bill, Notices(licenses), of, p)
		if err != nil {
			return err
		}
		images = append(images, i)
	}
	return Write(w, name, images...)
}

// operator is the image that Dockerfile describes, without a base below it.
func operator(program, bill, notices []byte, of version.Info, platform string) (Image, error) {
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
				"org.opencontainers.image.licenses":    license,
				"org.opencontainers.image.version":     of.Version,
				"org.opencontainers.image.revision":    of.Commit,
				"org.opencontainers.image.created":     of.Date,
			},
		},
		Files: []File{
			{Path: "etc/passwd", Content: []byte("nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
			{Path: "etc/group", Content: []byte("nonroot:x:65532:\n")},
			{Path: "etc/ssl/certs/ca-certificates.crt", Content: certificates},
			{Path: billPath, Content: bill},
			{Path: noticesPath, Content: notices},
			{Path: "torrent-operator", Executable: true, Content: program},
		},
	}, nil
}

// build builds the program for a platform, static.
func build(ctx context.Context, of version.Info, platform string) ([]byte, error) {
	system, architecture, _ := strings.Cut(platform, "/")
	dir, err := os.MkdirTemp("", "torrent-operator-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "torrent-operator")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+of.LinkerFlags(), "-o", program,
		programPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building torrent-operator for %s: %w: %s", platform, err, out)
	}
	return os.ReadFile(program)
}
