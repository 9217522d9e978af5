package rig

import (
	"bytes"
	"crypto/sha1"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

func exactly(want string) func(string) bool { return func(line string) bool { return line == want } }

func TestProcessIsWatchedUntilItsLines(t *testing.T) {
	p, lines, err := Start(t.Context(), "the shell", Command{
		Args: []string{"sh", "-c", `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; printf 'redrawn\rdone %s\n' "$WORD"; exec sleep 1000`},
		Env:  []string{"WORD=now"},
	}, exactly("redrawn"), exactly("done now"), exactly("never"))
	if err != nil {
		t.Fatal(err)
	}
	redrawn, err := lines[0].Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done, err := lines[1].Await(t.Context())
	if err != nil || done.At.Before(redrawn.At) {
		t.Errorf("%+v after %+v, %v", done, redrawn, err)
	}
	if done.CPU() < tick || done.CPU() > time.Hour || p.Usage().Anonymous == 0 {
		t.Errorf("it cost %+v by then, and %+v now", done.Usage, p.Usage())
	}
	p.Stop()
	if _, err := lines[2].Await(t.Context()); err == nil || !strings.Contains(err.Error(), "the shell ended") || !strings.Contains(err.Error(), "done now") {
		t.Errorf("a line that never came: %v", err)
	}
}

func TestPayloadsAreMadeOnceAndChecked(t *testing.T) {
	dir := t.TempDir()
	p := Payload{Name: "some", PieceLength: 16 << 10, Sizes: []int64{100_000, 1, 0, 50_000}}
	made, err := p.Make(t.Context(), dir)
	if err != nil || made.Length != 150_001 {
		t.Fatalf("%+v, %v", made, err)
	}
	if err := made.Check(made.Dir); err != nil {
		t.Error(err)
	}
	again, err := p.Make(t.Context(), dir)
	if err != nil || *again != *made {
		t.Errorf("%+v, %+v, %v", made, again, err)
	}
	name := filepath.Join(made.Dir, "some", "folder-00", "file-0003")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[40_000] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := made.Check(made.Dir); err == nil || !strings.Contains(err.Error(), "other bytes") {
		t.Errorf("a changed byte: %v", err)
	}
}

// The torrent of a payload that repeats is that of the whole, although only
// the first part is there.
func TestRepeatedPayload(t *testing.T) {
	const piece, kept, length = 16 << 10, 4 * 16 << 10, 11 * 16 << 10
	p := Payload{Name: "again", PieceLength: piece, Sizes: []int64{length}, Repeat: kept}
	made, err := p.Make(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	part, err := os.ReadFile(filepath.Join(made.Dir, "again"))
	if err != nil || len(part) != kept {
		t.Fatalf("%d bytes are kept, %v", len(part), err)
	}
	b, err := os.ReadFile(made.File)
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.Parse(b)
	if err != nil || m.Info.Length != length || m.InfoHash != made.InfoHash {
		t.Fatalf("%+v, %v", m, err)
	}
	whole := bytes.Repeat(part, 3)
	for i := range m.Info.PieceCount() {
		v := m.Info.NewVerifier()
		v.Reset(i)
		if v.Write(whole[i*piece : (i+1)*piece]); !v.OK() {
			t.Errorf("piece %d has another hash than %x", i, sha1.Sum(whole[i*piece:(i+1)*piece]))
		}
	}
}
