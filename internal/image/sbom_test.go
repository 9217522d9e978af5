package image

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/version"
)

var of = version.Info{Version: "v1.2.3", Commit: "abc", Date: "2026-01-02T03:04:05Z"}

// Whoever has the source can check that an image was built from it.
func TestTheOperatorIsTheSameEachTimeAndItsBillNamesEveryModule(t *testing.T) {
	var programs [2][]byte
	for i := range programs {
		var err error
		if programs[i], err = build(t.Context(), of, "linux/"+runtime.GOARCH); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(programs[0], programs[1]) {
		t.Error("two programs of the same source differ")
	}
	t.Run("the bill", func(t *testing.T) { checkBill(t, programs[0]) })
	t.Run("what it says", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("the program is one for Linux")
		}
		path := t.TempDir() + "/torrent-operator"
		if err := os.WriteFile(path, programs[0], 0o755); err != nil {
			t.Fatal(err)
		}
		said, err := exec.CommandContext(t.Context(), path, "version").Output()
		if want := "version  v1.2.3\ncommit   abc\ndate     2026-01-02T03:04:05Z\ngo       " + runtime.Version() + "\n"; err != nil || string(said) != want {
			t.Errorf("the program says %q, %v; want %q", said, err, want)
		}
	})
}

func checkBill(t *testing.T, program []byte) {
	t.Helper()
	build, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil || len(build.Deps) == 0 {
		t.Fatalf("%v, %d modules", err, len(build.Deps))
	}
	licenses, err := Licenses(t.Context(), "linux/"+runtime.GOARCH, programPackage)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := SBOM(program, of, licenses)
	if err != nil {
		t.Fatal(err)
	}
	var got bill
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.SPDXVersion != "SPDX-2.3" || got.CreationInfo.Created != "2026-01-02T03:04:05Z" {
		t.Errorf("%s, made at %s", got.SPDXVersion, got.CreationInfo.Created)
	}
	// https://spdx.github.io/spdx-spec/v2.3/package-information/#72-package-spdx-identifier-field
	id := regexp.MustCompile(`^SPDXRef-[a-zA-Z0-9.-]+$`)
	var names, ids []string
	for i := range got.Packages {
		names, ids = append(names, got.Packages[i].Name), append(ids, got.Packages[i].ID)
		if got.Packages[i].LicenseDeclared == noAssertion {
			t.Errorf("nothing is said of the license of %s", got.Packages[i].Name)
		}
		if !id.MatchString(got.Packages[i].ID) {
			t.Errorf("%q is no identifier of SPDX", got.Packages[i].ID)
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != len(names) {
		t.Error("two packages have the same identifier")
	}
	for _, m := range build.Deps {
		if !slices.Contains(names, m.Path) {
			t.Errorf("%s is missing", m.Path)
		}
	}
	if !slices.Contains(names, "stdlib") || len(names) != len(build.Deps)+2 || len(got.Relationships) != len(names) {
		t.Errorf("%d modules make %d packages and %d relationships; the standard library and the program itself belong to them",
			len(build.Deps), len(names), len(got.Relationships))
	}
}

// This test is a Go program, too.
func TestABillWithoutADateHasOneNevertheless(t *testing.T) {
	path, _ := os.Executable()
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, date := range []string{"", "2026-01-02", "2026-01-02T03:04:05+01:00"} {
		raw, err := SBOM(program, version.Info{Date: date}, nil)
		if err != nil || !strings.Contains(string(raw), `"created": "1970-01-01T00:00:00Z"`) {
			t.Errorf("date %q: %v", date, err)
		}
	}
}

func TestWhatIsNoGoProgramHasNoBill(t *testing.T) {
	if _, err := SBOM([]byte("#!/bin/sh\n"), version.Info{}, nil); err == nil {
		t.Error("no error")
	}
}
