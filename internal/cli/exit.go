package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// exitCode is what the process says at its end to who started it.
type exitCode int

// The exit codes, as exitHelp documents them.
const (
	exitFailure exitCode = 1
	exitUsage   exitCode = 2
	exitTorrent exitCode = 3
	exitFiles   exitCode = 4
	exitSpace   exitCode = 5
	exitPort    exitCode = 6
	exitStopped exitCode = 7
)

// exitHelp is part of the help of every command.
const exitHelp = `
Exit codes:
  0  done
  1  any other failure
  2  the command line is wrong
  3  the file is no valid torrent, or of a kind that is not supported
  4  a file or folder is missing, can't be read or written, or is in the way
  5  no space left
  6  the port is taken
  7  stopped by a signal before it was done`

// codedError is an error with an exit code of its own.
type codedError struct {
	code exitCode
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// fail returns an error with a code and a message.
func fail(code exitCode, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

// WithCode returns err with the code that the process exits with for it.
func WithCode(code int, err error) error { return &codedError{exitCode(code), err} }

// UsageError says that the command line is wrong, and where to look. What a
// number's parser says of itself and its input would only say it twice.
func UsageError(cmd *cobra.Command, err error) error {
	var number *strconv.NumError
	if errors.As(err, &number) {
		err = errors.New(strings.Replace(err.Error(), number.Error(), number.Err.Error(), 1))
	}
	return fail(exitUsage, "%w (see %s --help)", err, cmd.CommandPath())
}

// errStopped is why a context ended when a signal came.
var errStopped = errors.New("stopped by a signal")

// codeOf returns the exit code of an error: its own, or what its cause says.
func codeOf(err error) exitCode {
	var coded *codedError
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, metainfo.ErrInvalid), errors.Is(err, metainfo.ErrUnsupported):
		return exitTorrent
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitSpace
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EACCES) && !errors.As(err, &path) && !errors.As(err, &link):
		return exitPort
	case errors.As(err, &path), errors.As(err, &link), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return exitFiles
	}
	return exitFailure
}
