package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

var write = flag.Bool("write", false, "write the golden files")

// forms are those that go from one version to another.
var forms = map[string]struct {
	value  any
	encode func() ([]byte, error)
	decode func([]byte) (any, error)
}{
	"order":  {someOrder(), func() ([]byte, error) { return EncodeOrder(someOrder()) }, func(b []byte) (any, error) { return DecodeOrder(b) }},
	"push":   {somePush(), func() ([]byte, error) { return EncodePush(somePush()) }, func(b []byte) (any, error) { return DecodePush(b) }},
	"reply":  {someReply(), func() ([]byte, error) { return EncodeReply(someReply()) }, func(b []byte) (any, error) { return DecodeReply(b) }},
	"detail": {someDetail(), func() ([]byte, error) { return EncodeDetail(someDetail()) }, func(b []byte) (any, error) { return DecodeDetail(b) }},
	"result": {someResult(), func() ([]byte, error) { return EncodeResult(someResult()), nil }, func(b []byte) (any, error) { return DecodeResult(b) }},
}

// Workers and operators of several versions meet, so what is written down here
// is read for ever: fields are added, none is renamed or means something else.
func TestEveryFormStaysAsItIs(t *testing.T) {
	for name, f := range forms {
		b, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		var nice bytes.Buffer
		if err := json.Indent(&nice, b, "", "  "); err != nil {
			t.Fatal(err)
		}
		nice.WriteByte('\n')
		file := filepath.Join("testdata", name+".json")
		if *write {
			if err := os.WriteFile(file, nice.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(golden), nice.String()); d != "" {
			t.Errorf("%s is written differently:\n%s", name, d)
		}
		got, err := f.decode(golden)
		if err != nil {
			t.Errorf("%s is not read any more: %v", name, err)
		}
		if d := cmp.Diff(f.value, got, cmp.Comparer(samePrefix)); d != "" {
			t.Errorf("%s is read differently:\n%s", name, d)
		}
	}
}

func samePrefix(a, b netip.Prefix) bool { return a == b }

// A later version may say more, anywhere.
func TestWhatIsNotKnownIsLeftAlone(t *testing.T) {
	for name, f := range forms {
		b, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(b, &tree); err != nil {
			t.Fatal(err)
		}
		more, err := json.Marshal(addTo(tree))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.decode(more)
		if err != nil {
			t.Errorf("%s with more in it: %v", name, err)
		}
		if d := cmp.Diff(f.value, got, cmp.Comparer(samePrefix)); d != "" {
			t.Errorf("%s with more in it is read differently:\n%s", name, d)
		}
	}
}

// addTo adds a field to every object of the contract; headers are data.
func addTo(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		for k, e := range v {
			if k != "Headers" {
				v[k] = addTo(e)
			}
		}
		v["FromALaterVersion"] = []any{map[string]any{"a": 1}}
	case []any:
		for i, e := range v {
			v[i] = addTo(e)
		}
	}
	return tree
}

// The fixtures are worth something only if nothing is missing in them.
func TestTheFixturesHaveEveryField(t *testing.T) {
	r := someRequest()
	r.Source.Magnet, r.Source.Metainfo = "magnet:?", []byte("d4:infoe")
	o := someOrder()
	o.Request = r
	for what, v := range map[string]any{"progress": someProgress(), "order": o, "detail": someDetail(), "peer": someDetail().Peers[0], "file": someDetail().Files[0]} {
		for _, missing := range empty(reflect.ValueOf(v), what) {
			if !strings.HasSuffix(missing, "rogress.Worker") { // It is the operator who knows.
				t.Errorf("%s is empty", missing)
			}
		}
	}
}

// empty returns the fields of a struct, and of those in it, that are zero.
func empty(v reflect.Value, name string) (found []string) {
	for i := range v.NumField() {
		f, where := v.Field(i), name+"."+v.Type().Field(i).Name
		switch {
		case f.IsZero():
			found = append(found, where)
		case f.Kind() == reflect.Pointer && f.Elem().Kind() == reflect.Struct:
			found = append(found, empty(f.Elem(), where)...)
		case f.Kind() == reflect.Struct && f.Type().PkgPath() == reflect.TypeFor[download.ID]().PkgPath():
			found = append(found, empty(f, where)...)
		}
	}
	return found
}
