package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// readTorrent reads the .torrent file that a command was given.
func readTorrent(cmd *cobra.Command, name string) (*metainfo.Metainfo, error) {
	_, m, err := ReadTorrent(cmd, name)
	return m, err
}

// ReadTorrent reads the .torrent file that a command was given, and returns its
// bytes too; "-" is the command's standard input.
func ReadTorrent(cmd *cobra.Command, name string) ([]byte, *metainfo.Metainfo, error) {
	in, source := cmd.InOrStdin(), name
	if name == "-" {
		source = "standard input"
	} else {
		f, err := os.Open(name)
		switch {
		case err != nil && strings.Contains(name, "://"):
			return nil, nil, fail(exitFiles, "%s is no file; fetch it first, and give the .torrent file", shown(name))
		case err != nil:
			return nil, nil, fileError("read", name, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, metainfo.MaxSize+1))
	if err != nil {
		return nil, nil, fileError("read", source, err)
	}
	if len(b) > metainfo.MaxSize {
		return nil, nil, fail(exitTorrent, "%s is no torrent: it has more than %d MiB", source, metainfo.MaxSize>>20)
	}
	m, err := metainfo.Parse(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", source, err)
	}
	return b, m, nil
}

// fileError says what could not be done to a file, and why. The operation and
// path that package os puts before the cause would only say it twice.
func fileError(verb, name string, err error) error {
	cause := err
	var path *fs.PathError
	if errors.As(err, &path) {
		cause = path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		cause = link.Err
	}
	code := codeOf(err)
	if code != exitSpace {
		code = exitFiles
	}
	return fail(code, "can't %s %s: %w", verb, name, cause)
}
