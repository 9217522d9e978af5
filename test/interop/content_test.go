package interop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// content is what a torrent shares: a file called name, or, if it holds more
// than the one nameless file, a folder of that name.
type content struct {
	name  string
	files map[string]int // Sizes in bytes by path; the path "" is name itself.
}

// write fills the files below dir, the same way each time.
func (c content) write(t *testing.T, dir string) {
	t.Helper()
	rng := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", c.name))))
	for _, file := range slices.Sorted(maps.Keys(c.files)) {
		path := filepath.Join(dir, c.name, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, c.files[file])
		rng.Read(b)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// size is all bytes of the content.
func (c content) size() (n int64) {
	for _, size := range c.files {
		n += int64(size)
	}
	return n
}

// padding is the folder into which clients that do not know BEP 47 write the
// padding files.
const padding = ".pad"

// compare returns what is different between the files of the content below
// two folders: each must be there with the same SHA-256, and no other may be.
// Empty ones may be missing if withoutEmpty is set.
func (c content) compare(want, got string, withoutEmpty bool) error {
	sums := [2]map[string][sha256.Size]byte{}
	for i, dir := range []string{want, got} {
		var err error
		if sums[i], err = hashTree(filepath.Join(dir, c.name)); err != nil {
			return err
		}
	}
	if len(sums[0]) != len(c.files) {
		return fmt.Errorf("%s holds %d files and should hold %d", want, len(sums[0]), len(c.files))
	}
	var wrong []string
	for file, sum := range sums[0] {
		other, ok := sums[1][file]
		switch {
		case !ok && withoutEmpty && c.files[file] == 0:
		case !ok:
			wrong = append(wrong, file+" is missing")
		case other != sum:
			wrong = append(wrong, file+" differs")
		}
		delete(sums[1], file)
	}
	for file := range sums[1] {
		if !strings.HasPrefix(file, padding+"/") {
			wrong = append(wrong, file+" is not of the torrent")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%d files are wrong: %s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], ", "))
}

// hashTree returns the SHA-256 of each file at or below path; the key is its
// path relative to it.
func hashTree(path string) (map[string][sha256.Size]byte, error) {
	sums := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		rel, err := filepath.Rel(path, file)
		if rel == "." {
			rel = ""
		}
		sums[filepath.ToSlash(rel)] = [sha256.Size]byte(h.Sum(nil))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // Whoever compares says what is missing.
	}
	return sums, err
}
