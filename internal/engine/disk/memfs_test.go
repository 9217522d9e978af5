package disk

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"sync"
	"syscall"
	"time"
)

// memFS is a volume in memory that knows what of it would survive a power
// cut. It loses what was not synced: bytes in small stretches, each or not,
// names one by one, each or not.
type memFS struct {
	mu     sync.Mutex
	names  map[string]*inode // What processes see.
	kept   map[string]*inode // What was synced of it.
	clock  int64
	opened int // Files open now.
	most   int // And at most.

	ops   int                                // Changes so far.
	cut   int                                // The power goes at this change; 0 for never.
	fault func(op string, name string) error // Asked before each operation.
	short *rand.Rand                         // If set, writes write less than all.
	room  int64                              // Bytes that files may still grow by; -1 for any.
}

type inode struct {
	name    string // Under which it was made, or renamed to.
	dir     bool
	mode    fs.FileMode
	data    []byte
	synced  []byte
	pending []memWrite // Since the last sync.
	mtime   int64
}

type memWrite struct {
	off  int64
	data []byte
}

var errPower = errors.New("the power is off")

func newMemFS() *memFS {
	top := &inode{dir: true}
	return &memFS{names: map[string]*inode{".": top}, kept: map[string]*inode{".": top}, room: -1}
}

// change counts an operation that changes the volume.
func (m *memFS) change(op, name string) error {
	m.ops++
	if m.cut > 0 && m.ops > m.cut {
		return errPower
	}
	return m.ask(op, name)
}

func (m *memFS) ask(op, name string) error {
	if m.cut > 0 && m.ops > m.cut {
		return errPower
	}
	if m.fault != nil {
		return m.fault(op, name)
	}
	return nil
}

func (m *memFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("open", name); err != nil {
		return nil, err
	}
	n := m.names[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	case n == nil:
		if p := m.names[path.Dir(name)]; p == nil || !p.dir {
			return nil, syscall.ENOENT
		}
		if err := m.change("create", name); err != nil {
			return nil, err
		}
		m.clock++
		n = &inode{name: name, mode: perm, mtime: m.clock}
		m.names[name] = n
	case flag&os.O_EXCL != 0:
		return nil, syscall.EEXIST
	case n.dir != (flag&syscall.O_DIRECTORY != 0) && flag != os.O_RDONLY:
		return nil, syscall.EISDIR
	}
	if flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		*n = inode{name: n.name, mode: n.mode, synced: n.synced, mtime: n.mtime}
	}
	m.opened++
	m.most = max(m.most, m.opened)
	n.name = name
	return &memFile{fs: m, n: n}, nil
}

func (m *memFS) Lstat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask("lstat", name); err != nil {
		return nil, err
	}
	n := m.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: syscall.ENOENT}
	}
	return memInfo{name: path.Base(name), dir: n.dir, size: int64(len(n.data)), mode: n.mode, mtime: n.mtime}, nil
}

func (m *memFS) Mkdir(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] != nil {
		return syscall.EEXIST
	}
	if m.names[path.Dir(name)] == nil {
		return syscall.ENOENT
	}
	if err := m.change("mkdir", name); err != nil {
		return err
	}
	m.names[name] = &inode{dir: true}
	return nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("rename", to); err != nil {
		return err
	}
	m.names[to] = m.names[from]
	m.names[to].name = to
	delete(m.names, from)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return syscall.ENOENT
	}
	for other := range m.names {
		if other != name && path.Dir(other) == name {
			return syscall.ENOTEMPTY
		}
	}
	if err := m.change("remove", name); err != nil {
		return err
	}
	delete(m.names, name)
	return nil
}

func (m *memFS) Close() error { return nil }

// afterKill is the volume as the next process sees it when this one is
// killed: whole.
func (m *memFS) afterKill() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := newMemFS()
	next.clock = m.clock
	for name, n := range m.names {
		c := *n
		c.data = append([]byte(nil), n.data...)
		c.pending = append([]memWrite(nil), n.pending...)
		next.names[name] = &c
		if m.kept[name] == n {
			next.kept[name] = &c
		}
	}
	return next
}

// afterCut is the volume as it may be found after a power cut.
func (m *memFS) afterCut(rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.kept)
	for name, n := range m.names {
		if rnd.IntN(2) == 0 {
			all[name] = n
		}
	}
	for name := range m.kept {
		if m.names[name] == nil && rnd.IntN(2) == 0 {
			delete(all, name)
		}
	}
	next := newMemFS()
	next.clock = m.clock
	for name, n := range all {
		lives := true
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			lives = lives && all[dir] != nil
		}
		if lives && name != "." {
			c := n.afterCut(rnd)
			next.names[name], next.kept[name] = c, c
		}
	}
	return next
}

func (n *inode) afterCut(rnd *rand.Rand) *inode {
	c := &inode{dir: n.dir, mode: n.mode, mtime: n.mtime, data: append([]byte(nil), n.synced...)}
	const grain = 40 // Finer than a real volume's, so that a small journal tears too.
	for _, w := range n.pending {
		for off := 0; off < len(w.data); off += grain {
			if rnd.IntN(3) == 0 {
				continue
			}
			c.put(w.data[off:min(len(w.data), off+grain)], w.off+int64(off))
		}
	}
	c.synced = append([]byte(nil), c.data...)
	return c
}

func (n *inode) put(b []byte, off int64) {
	if grow := off + int64(len(b)) - int64(len(n.data)); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[off:], b)
}

// bytes returns what is in a file.
func (m *memFS) bytes(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.names[name]; n != nil {
		return append([]byte(nil), n.data...)
	}
	return nil
}

// put makes a file, and the folders that it needs, as somebody else would.
func (m *memFS) put(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if m.names[dir] == nil {
			m.names[dir] = &inode{dir: true}
		}
	}
	m.clock++
	m.names[name] = &inode{data: append([]byte(nil), data...), mode: 0o644, mtime: m.clock}
}

type memFile struct {
	fs *memFS
	n  *inode
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.ask("read", f.n.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	k := copy(p, f.n.data[off:])
	if k < len(p) {
		return k, io.EOF
	}
	return k, nil
}

func (f *memFile) WriteVec(chunks [][]byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.change("write", f.n.name)
	if err != nil && !errors.Is(err, errPower) {
		return 0, err
	}
	var b []byte
	for _, c := range chunks {
		b = append(b, c...)
	}
	if f.fs.short != nil && len(b) > 1 {
		b = b[:1+f.fs.short.IntN(len(b)-1)]
	}
	if err != nil && f.fs.ops != f.fs.cut+1 {
		return 0, err
	}
	if grow := off + int64(len(b)) - int64(len(f.n.data)); f.fs.room >= 0 && grow > f.fs.room {
		return 0, syscall.ENOSPC
	} else if f.fs.room >= 0 && grow > 0 {
		f.fs.room -= grow
	}
	f.fs.clock++
	f.n.mtime = f.fs.clock
	f.n.put(b, off)
	f.n.pending = append(f.n.pending, memWrite{off, b})
	return len(b), err
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.change("sync", f.n.name); err != nil {
		return err
	}
	if !f.n.dir {
		f.n.synced, f.n.pending = append([]byte(nil), f.n.data...), nil
		return nil
	}
	for name := range f.fs.kept {
		if name != "." && path.Dir(name) == f.n.name {
			delete(f.fs.kept, name)
		}
	}
	for name, n := range f.fs.names {
		if name != "." && path.Dir(name) == f.n.name {
			f.fs.kept[name] = n
		}
	}
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	f.fs.opened--
	f.fs.mu.Unlock()
	return nil
}

type memInfo struct {
	name  string
	dir   bool
	size  int64
	mode  fs.FileMode
	mtime int64
}

func (i memInfo) Name() string { return i.name }
func (i memInfo) Size() int64  { return i.size }
func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return i.mode | fs.ModeDir
	}
	return i.mode
}
func (i memInfo) ModTime() time.Time { return time.Unix(0, i.mtime) }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
