package metainfo

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	hashBuffer = 256 << 10 // Bytes read at once by each worker.
	hashRun    = 4 << 20   // Bytes of neighbouring pieces that a worker takes at once, if pieces are shorter.
)

// hashJob is the hashing of all pieces of a torrent to be, shared by workers.
type hashJob struct {
	src    *source
	info   *Info
	stored []int // For each file of info, its index in src.files; -1 for padding.
	hashes []byte
	next   atomic.Int64 // The first piece that no worker has taken.

	mu       sync.Mutex // Guards done, and makes calls of progress come one at a time.
	done     int64
	progress func(done, total int64)
}

// hashPieces returns the hashes of all pieces, one after another.
func hashPieces(ctx context.Context, src *source, info *Info, progress func(done, total int64)) ([]byte, error) {
	count := (info.Length + info.PieceLength - 1) / info.PieceLength
	j := &hashJob{src: src, info: info, hashes: make([]byte, count*sha1.Size), progress: progress}
	n := 0
	for _, f := range info.Files {
		if f.Pad {
			j.stored = append(j.stored, -1)
			continue
		}
		j.stored = append(j.stored, n)
		n++
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			if err := j.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return j.hashes, nil
}

// work hashes runs of pieces until none is left.
func (j *hashJob) work(ctx context.Context) error {
	w := hashWorker{job: j, buf: make([]byte, hashBuffer), hash: sha1.New(), index: -1}
	defer w.close()
	count := int64(len(j.hashes) / sha1.Size)
	run := max(1, hashRun/j.info.PieceLength)
	for {
		end := j.next.Add(run)
		first := end - run
		if first >= count {
			return nil
		}
		for piece := first; piece < min(end, count); piece++ {
			if err := w.piece(ctx, piece); err != nil {
				return err
			}
		}
		j.report(min(end*j.info.PieceLength, j.info.Length) - first*j.info.PieceLength)
	}
}

// report adds n bytes to those that are hashed.
func (j *hashJob) report(n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done += n
	if j.progress != nil {
		j.progress(j.done, j.info.Length)
	}
}

// hashWorker is what one worker keeps from piece to piece.
type hashWorker struct {
	job   *hashJob
	buf   []byte
	hash  hash.Hash
	file  *os.File // The file read last, or nil.
	index int      // Its index in the source.
}

// piece hashes one piece and puts the hash where it belongs.
func (w *hashWorker) piece(ctx context.Context, piece int64) error {
	w.hash.Reset()
	at := piece * w.job.info.PieceLength
	for span := range w.job.info.Spans(at, w.job.info.PieceLength) {
		for span.Length > 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b := w.buf[:min(span.Length, int64(len(w.buf)))]
			if err := w.read(b, w.job.stored[span.File], span.Offset); err != nil {
				return err
			}
			w.hash.Write(b)
			span.Offset += int64(len(b))
			span.Length -= int64(len(b))
		}
	}
	w.hash.Sum(w.job.hashes[:piece*sha1.Size])
	return nil
}

// read fills b from a file of the source, or with zeros for padding.
func (w *hashWorker) read(b []byte, index int, off int64) error {
	if index < 0 {
		clear(b)
		return nil
	}
	if index != w.index {
		if err := w.open(index); err != nil {
			return err
		}
	}
	if _, err := w.file.ReadAt(b, off); err != nil {
		if errors.Is(err, io.EOF) {
			return w.changed()
		}
		return pathError(w.job.src.full(w.job.src.files[index]), err)
	}
	return nil
}

// open opens a file of the source, which must still be as it was listed.
func (w *hashWorker) open(index int) error {
	w.close()
	f := w.job.src.files[index]
	file, err := w.job.src.root.Open(f.rel)
	if err != nil {
		return pathError(w.job.src.full(f), err)
	}
	w.file, w.index = file, index
	info, err := file.Stat()
	if err != nil {
		return pathError(w.job.src.full(f), err)
	}
	if info.Size() != f.size || !info.Mode().IsRegular() {
		return w.changed()
	}
	return nil
}

func (w *hashWorker) changed() error {
	return fmt.Errorf("%s: the file changed while it was being hashed; try again when nobody writes to it", w.job.src.full(w.job.src.files[w.index]))
}

func (w *hashWorker) close() {
	if w.file != nil {
		w.file.Close()
		w.file, w.index = nil, -1
	}
}
