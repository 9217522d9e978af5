package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// block is a block of code in Markdown: of what language, and its text.
var block = regexp.MustCompile("(?ms)^ *```([^`\n]*)\n(.*?\n) *```$")

// examples are the YAML blocks of all pages, by where they begin.
func examples(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		files, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			page := string(content)
			for _, m := range block.FindAllStringSubmatchIndex(page, -1) {
				where := fmt.Sprintf("%s:%d", filepath.Base(file), strings.Count(page[:m[0]], "\n")+1)
				language, text := page[m[2]:m[3]], page[m[4]:m[5]]
				switch {
				case language == "yaml":
					out[where] = text
				case strings.Contains(text, "apiVersion:"):
					t.Errorf("%s: a manifest is called %q: call it yaml, so that it is tried", where, language)
				}
			}
		}
	}
	return out
}

// accept has the API server say what it would say of each document of an
// example, and keeps none of them. One that has nothing but a spec is a part of
// that of a TorrentDownload.
func (w *world) accept(text string) error {
	w.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var content map[string]any
		if err := yaml.UnmarshalStrict([]byte(document), &content); err != nil {
			return err
		}
		if spec, ok := content["spec"].(map[string]any); ok && len(content) == 1 {
			content = completed(spec)
		}
		o := &unstructured.Unstructured{Object: content}
		if o.GetKind() == "" {
			return errors.New("this is neither an object nor the spec of a TorrentDownload")
		}
		if namespaced, err := w.IsObjectNamespaced(o); err != nil {
			return err
		} else if namespaced {
			w.house(o)
		}
		if err := w.Create(w.Context(), o, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			return err
		}
	}
	return nil
}

// completed is a TorrentDownload with the least that it needs, and a spec.
func completed(spec map[string]any) map[string]any {
	whole := map[string]any{
		"source": map[string]any{"url": map[string]any{"address": "https://example.org/dataset.torrent"}},
		"volume": map[string]any{"claimName": "datasets"},
	}
	maps.Copy(whole, spec)
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind,
		"metadata": map[string]any{"name": "part"}, "spec": whole,
	}
}

// house sees to the namespace of an object: w's, or the one that it names,
// which stays, and stays empty.
func (w *world) house(o *unstructured.Unstructured) {
	w.Helper()
	if o.GetNamespace() == "" {
		o.SetNamespace(w.ns)
		return
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}}
	if err := client.IgnoreAlreadyExists(w.Create(w.Context(), ns)); err != nil {
		w.Fatal(err)
	}
}

// TestEveryExampleOfTheDocumentationIsAccepted by the API server as it stands,
// or, if it shows a spec alone, as a part of that of a TorrentDownload.
func TestEveryExampleOfTheDocumentationIsAccepted(t *testing.T) {
	w := newWorld(t)
	w.await("Pods can be made", func() bool {
		return w.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: "default"}, &corev1.ServiceAccount{}) == nil
	})
	all := examples(t)
	for where, text := range all {
		if err := w.accept(text); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	if len(all) < 10 {
		t.Errorf("only %d examples were found", len(all))
	}
}

func TestAnExampleThatIsWrongIsRefused(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		"spec:\n  volume: {claimName: datasets, path: a}\n":         "",
		"spec:\n  volume: {claimname: datasets}\n":                  "claimname",
		"spec:\n  volume: {claimName: datasets, path: /a}\n":        "path must be relative",
		"spec:\n  files: {include: [a]}\n  files: {include: [b]}\n": "already set",
		"executor: pods\n": "neither an object",
		"apiVersion: v1\nkind: Secrets\nmetadata: {name: a}\n":                    "no matches for kind",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringdata: {a: b}\n": "stringdata",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: elsewhere}": "",
	} {
		err := w.accept(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
