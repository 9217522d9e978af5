package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func TestContentIsLargeEnoughAndInSeveralFiles(t *testing.T) {
	if contentSize() < 256<<20 || len(files) < 2 {
		t.Errorf("the demo has %d bytes in %d files, at least 256 MiB in several are promised", contentSize(), len(files))
	}
}

func TestContentIsTheSameEachTimeAndDiffersFromFileToFile(t *testing.T) {
	dir := t.TempDir()
	read := func(name string, seed byte) []byte {
		path := filepath.Join(dir, name)
		if err := writeRandom(path, seed, 100_000); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, again, b := read("a", 1), read("again", 1), read("b", 2)
	if len(a) != 100_000 || !bytes.Equal(a, again) || bytes.Equal(a, b) {
		t.Errorf("%d bytes, the same again: %t, the same as another: %t", len(a), bytes.Equal(a, again), bytes.Equal(a, b))
	}
}

func TestCompareFilesFindsEveryDifference(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // two megabytes, so that a read ends at the end
	want := write("want", content)
	if n, err := compareFiles(want, write("same", content)); err != nil || n != int64(len(content)) {
		t.Errorf("the same content: %d, %v", n, err)
	}
	flipped := bytes.Clone(content)
	flipped[len(flipped)-1] ^= 1
	for name, b := range map[string][]byte{
		"flipped": flipped, "short": content[:len(content)-1], "long": append(bytes.Clone(content), 0), "empty": nil,
	} {
		if _, err := compareFiles(want, write(name, b)); err == nil {
			t.Errorf("%s content passed for the same", name)
		}
	}
	if _, err := compareFiles(want, filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestTableRelaysRowsAndCountsSteps(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out)
	const said = "NAME   READY   REASON   PROGRESS   PEERS   CLAIM   AGE\n" +
		"demo   False   Downloading   3% of 269MiB, 6MiB/s, 43s left   2   demo   1s\n" +
		"demo   False   Downloading   3% of 269MiB, 6MiB/s, 43s left   1   demo   2s\n" +
		"demo   False   Downloading   25% of 269MiB, 6MiB/s, 33s left   2   demo   9s\n"
	for _, part := range []string{said[:70], said[70:150], said[150:]} {
		if _, err := io.WriteString(table, part); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != said {
		t.Errorf("relayed %q", out.String())
	}
	if table.steps() != 2 || table.complete() {
		t.Errorf("%d steps, complete: %t; want 2 and not", table.steps(), table.complete())
	}
	if _, err := io.WriteString(table, "demo   True   Complete   100% of 269MiB   0   demo   50s\n"); err != nil {
		t.Fatal(err)
	}
	if table.steps() != 3 || !table.complete() {
		t.Errorf("%d steps, complete: %t; want 3 and complete", table.steps(), table.complete())
	}
}

func TestLinesHandOnTheFirst(t *testing.T) {
	l := newLines()
	for _, part := range []string{"http://127", ".0.0.1:1/announce\nsecond\n", "third\n"} {
		if _, err := io.WriteString(l, part); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-l.first; got != "http://127.0.0.1:1/announce" {
		t.Errorf("the first line is %q", got)
	}
}

func TestObjectsAreFiveDocumentsOfYAML(t *testing.T) {
	all, err := objects(`/tmp/a "quoted" folder`, []byte("d4:infodee"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for doc := range strings.SplitSeq(string(all), "\n---\n") {
		var o struct{ Kind string }
		if err := yaml.UnmarshalStrict([]byte(doc), &map[string]any{}); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, o.Kind)
	}
	const want = "Node PersistentVolume PersistentVolumeClaim ConfigMap TorrentDownload"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("objects are %s, want %s", got, want)
	}
}

func TestTheLinkOfTheSecondDownloadIsYAML(t *testing.T) {
	const link = "magnet:?xt=urn:btih:00&dn=a+b&tr=http%3A%2F%2Fa%2F"
	var o struct {
		Spec struct{ Source struct{ Magnet string } }
	}
	if err := yaml.Unmarshal(fmt.Appendf(nil, linkedDownload, link), &o); err != nil || o.Spec.Source.Magnet != link {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAProcessThatEndsEarlyEndsTheDemoWithItsReason(t *testing.T) {
	ctx, fail := context.WithCancelCause(t.Context())
	d := &demo{out: io.Discard, start: time.Now(), dir: t.TempDir(), fail: fail}
	defer d.close()
	if err := d.launch("tracker", nil, "sh", "-c", "echo no port is free >&2; exit 3"); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	cause := context.Cause(ctx).Error()
	if !strings.Contains(cause, "tracker ended on its own") || !strings.Contains(cause, "no port is free") {
		t.Errorf("the demo ended because %s", cause)
	}
}

func TestCleanupRunsTheLastFirst(t *testing.T) {
	var order []string
	d := &demo{fail: func(error) {}}
	for _, s := range []string{"folder", "control plane", "operator"} {
		d.undo(func() { order = append(order, s) })
	}
	d.close()
	if got := strings.Join(order, ", "); got != "operator, control plane, folder" {
		t.Errorf("undone in the order %s", got)
	}
}
