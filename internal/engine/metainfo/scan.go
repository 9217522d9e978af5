package metainfo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// source is what a torrent is made of: files below a folder that is held open.
type source struct {
	path   string // As the caller named it, for messages.
	name   string // The name of the torrent to be.
	single bool   // A file, not a folder.
	root   *os.Root
	files  []sourceFile
}

type sourceFile struct {
	rel        string // Below the root, slash-separated.
	size       int64
	executable bool
}

// full returns the path of a file for messages.
func (s *source) full(f sourceFile) string {
	if s.single {
		return s.path
	}
	return filepath.Join(s.path, filepath.FromSlash(f.rel))
}

func (s *source) close() { s.root.Close() }

// scan lists the files at path.
func scan(path string) (*source, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	target, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, pathError(path, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return nil, pathError(path, err)
	}
	s := &source{path: path, name: filepath.Base(abs), single: !info.IsDir()}
	folder := target
	if s.single {
		folder = filepath.Dir(target)
	}
	if s.root, err = os.OpenRoot(folder); err != nil {
		return nil, pathError(path, err)
	}
	if s.single {
		err = s.add(filepath.Base(target), info)
	} else {
		err = fs.WalkDir(s.root.FS(), ".", s.visit)
	}
	if err == nil && len(s.files) == 0 {
		err = fmt.Errorf("%s: there is no file in this folder, and a torrent needs one", path)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// visit takes in what the walk through the folder has come to.
func (s *source) visit(rel string, entry fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return pathError(s.full(sourceFile{rel: rel}), err)
	case entry.IsDir() && rel == ReservedName:
		return fs.SkipDir
	case entry.IsDir():
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return pathError(s.full(sourceFile{rel: rel}), err)
	}
	return s.add(rel, info)
}

func (s *source) add(rel string, info fs.FileInfo) error {
	f := sourceFile{rel: rel, size: info.Size(), executable: info.Mode()&0o111 != 0}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s: a symbolic link can't be in a torrent; remove it, or put there what it leads to", s.full(f))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: neither a file nor a folder, so it can't be in a torrent", s.full(f))
	}
	s.files = append(s.files, f)
	return nil
}

// pathError says what went wrong at path, in place of the path that err names.
func pathError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
