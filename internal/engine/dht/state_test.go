package dht

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func someState(nodes int) State {
	return State{
		four: {ID: ID{1, 2, 3}, Nodes: contactsAt(four, nodes)},
		six:  {ID: ID{4, 5, 6}, Nodes: contactsAt(six, nodes)},
	}
}

func TestStateIsKeptFromOneStartToTheNext(t *testing.T) {
	name := filepath.Join(t.TempDir(), "below", "dht")
	if s, err := readFile(name, 1); err != nil || !reflect.DeepEqual(s, State{}) {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	want := someState(maxSaved)
	for range 2 {
		if err := writeFile(name, want, 6881); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readFile(name, 6881); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back as %+v, %v", got, err)
	}
	if files, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	got, err := readFile(name, 6882)
	if err != nil || got[four].ID != (ID{}) || got[six].ID != (ID{}) || len(got[four].Nodes) != maxSaved {
		t.Errorf("another port has ids %v and %v of this one (%v)", got[four].ID, got[six].ID, err)
	}
}

func TestStateAtItsLimits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "dht")
	for n, want := range map[int]int{maxSaved - 1: maxSaved - 1, maxSaved: maxSaved, maxSaved + 1: maxSaved} {
		if s, err := parseState(someState(n).append(1), 1); err != nil || len(s[four].Nodes) != want || len(s[six].Nodes) != want {
			t.Errorf("of %d nodes %d are read (%v)", n, len(s[four].Nodes), err)
		}
	}
	if n := len(someState(maxSaved).append(65535)); n > maxState {
		t.Errorf("a state takes %d bytes, more than may be read", n)
	}
	for size, ok := range map[int]bool{maxState: true, maxState + 1: false} {
		b := text([]byte("d"), "x")
		b = append(text(b, bytes.Repeat([]byte{'x'}, size-len("d1:x00000:e"))), 'e')
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readFile(name, 1); (err == nil) != ok {
			t.Errorf("a file of %d bytes: %v", len(b), err)
		}
	}
}

func TestDamagedStateIsNone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "dht")
	whole := someState(3).append(1)
	for n := range whole {
		if err := os.WriteFile(name, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readFile(name, 1); err == nil || !reflect.DeepEqual(s, State{}) {
			t.Fatalf("%d bytes of %d are read as %+v, %v", n, len(whole), s, err)
		}
	}
}

// FuzzState holds that any file is read within the limits or refused.
func FuzzState(f *testing.F) {
	for _, file := range corpus(f, "state") {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b, 6881)
		if err != nil {
			return
		}
		if len(s[four].Nodes) > maxSaved || len(s[six].Nodes) > maxSaved {
			t.Fatalf("%d and %d nodes", len(s[four].Nodes), len(s[six].Nodes))
		}
		if again, err := parseState(s.append(6881), 6881); err != nil || !bytes.Equal(again.append(1), s.append(1)) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}
