//go:build chart

package chart

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	chart  = "../../charts/torrent-operator"
	config = "../../config"
	// system is where config/default installs.
	system = "torrent-operator-system"
)

// object is an object of Kubernetes, as it is written.
type object map[string]any

func (o object) in(path ...string) any {
	var at any = map[string]any(o)
	for _, key := range path {
		m, _ := at.(map[string]any)
		at = m[key]
	}
	return at
}

func (o object) text(path ...string) string {
	s, _ := o.in(path...).(string)
	return s
}

// name tells objects apart.
func (o object) name() string {
	return o.text("kind") + " " + o.text("metadata", "namespace") + "/" + o.text("metadata", "name")
}

// program is a program that "make chart" has built.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s names no program: run this by make chart", variable)
	}
	return path
}

// run returns what a program prints, and its complaint if it fails.
func run(t *testing.T, variable string, args ...string) (out []byte, complaint string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, variable), args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, err.Error() + ": " + said.String()
	}
	return out, ""
}

// helm renders the chart as the release and namespace of config/default.
func helm(t *testing.T, args ...string) (out []byte, complaint string) {
	t.Helper()
	return run(t, "HELM", append([]string{"template", "torrent-operator", chart, "--namespace=" + system, "--kube-version=1.36.0"}, args...)...)
}

// rendered is what helm makes of the chart.
func rendered(t *testing.T, args ...string) map[string]object {
	t.Helper()
	out, complaint := helm(t, args...)
	if complaint != "" {
		t.Fatal(complaint)
	}
	return objects(t, out)
}

// built is what kustomize makes of a folder of config/.
func built(t *testing.T, folder string) map[string]object {
	t.Helper()
	out, complaint := run(t, "KUSTOMIZE", "build", filepath.Join(config, folder))
	if complaint != "" {
		t.Fatal(complaint)
	}
	return objects(t, out)
}

// objects reads all documents, by their names.
func objects(t *testing.T, documents []byte) map[string]object {
	t.Helper()
	all := map[string]object{}
	in := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(documents), 4096)
	for {
		var o object
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(o) == 0 {
			continue
		}
		if _, twice := all[o.name()]; twice {
			t.Errorf("%s is there twice", o.name())
		}
		all[o.name()] = o
	}
}

// valuesFiles are the files with values to try.
func valuesFiles(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(chart, "ci", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files with values: %v", err)
	}
	files := map[string]string{"defaults": filepath.Join(chart, "values.yaml")}
	for _, path := range paths {
		files[strings.TrimSuffix(filepath.Base(path), ".yaml")] = path
	}
	return files
}
