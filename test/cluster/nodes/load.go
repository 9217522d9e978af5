package nodes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/torrent-operator/torrent-operator/test/cluster"
)

// socketName is the file of containerd's socket, in the folder of a node.
const socketName = "containerd.sock"

// errNotThere says that containerd does not listen yet.
var errNotThere = errors.New("containerd is not there")

// Load makes an image, in an archive, known to all nodes of a cluster whose
// files are in dir; see [Cluster.Dir]. Any process may call it.
func Load(ctx context.Context, dir, archive string) error {
	runtimes, err := cluster.RuntimeAssets(ctx, os.Stderr)
	if err != nil {
		return err
	}
	sockets, err := filepath.Glob(filepath.Join(dir, "n*", socketName))
	if err != nil {
		return err
	}
	for _, socket := range sockets {
		if err := importImage(ctx, runtimes, socket, archive); err != nil {
			return err
		}
	}
	return nil
}

// importImage hands an archive to the containerd that listens at a socket.
func importImage(ctx context.Context, runtimes, socket, archive string) error {
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return errNotThere
	}
	cmd := exec.CommandContext(ctx, filepath.Join(runtimes, "ctr"), "--address", socket, "--namespace", "k8s.io", "images", "import", archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing the image %s: %w: %s", archive, err, out)
	}
	return nil
}
