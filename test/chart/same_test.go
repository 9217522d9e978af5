//go:build chart

package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What Helm adds to the labels of every object, and kustomize has no notion of:
// which release, and which version of what it belongs to.
var helmLabels = []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}

// What Helm says of objects that kustomize leaves without labels. Where an object
// has labels in config/ they must be the same.
var commonLabels = []string{"app.kubernetes.io/name", "app.kubernetes.io/component"}

func TestTheChartMakesWhatKustomizeMakes(t *testing.T) {
	for folder, values := range map[string][]string{
		"default":    nil,
		"in-process": {"--set", "executor=in-process"},
		"namespaced": {"--set", "watchNamespaces={team-a}"},
		"dashboard":  {"--set", "dashboard.enabled=true"},
	} {
		t.Run(folder, func(t *testing.T) {
			want, got := built(t, folder), rendered(t, values...)
			// helm install --create-namespace makes it, and so nobody deletes it.
			delete(want, "Namespace /"+system)
			if folder == "dashboard" { // It is installed beside the operator.
				maps.DeleteFunc(got, func(_ string, o object) bool {
					return o.text("metadata", "labels", "app.kubernetes.io/component") != "dashboard"
				})
			}
			for name := range maps.Keys(got) {
				plain(got[name])
				if w, ok := want[name]; ok {
					level(got[name], w)
				}
			}
			names := func(m map[string]object) []string { return slices.Sorted(maps.Keys(m)) }
			if diff := cmp.Diff(names(want), names(got)); diff != "" {
				t.Fatalf("not the same objects (-kustomize +helm):\n%s", diff)
			}
			for name := range want {
				if diff := cmp.Diff(want[name], got[name]); diff != "" {
					t.Errorf("%s (-kustomize +helm):\n%s", name, diff)
				}
			}
		})
	}
}

// plain takes Helm's own labels out of everything, selectors included, and the
// annotation that keeps the CustomResourceDefinition.
func plain(o object) {
	walk(map[string]any(o), func(m map[string]any) {
		for key := range m {
			if slices.Contains(helmLabels, key) {
				delete(m, key)
			}
		}
	})
	if a, ok := o.in("metadata", "annotations").(map[string]any); ok {
		delete(a, "helm.sh/resource-policy")
	}
}

// level takes the labels out of o that want does not have: config/ has them on
// what selects or is selected alone.
func level(o, want object) {
	labels, ok := o.in("metadata", "labels").(map[string]any)
	if !ok {
		return
	}
	theirs, _ := want.in("metadata", "labels").(map[string]any)
	for _, key := range commonLabels {
		if _, has := theirs[key]; !has {
			delete(labels, key)
		}
	}
	if len(labels) == 0 {
		delete(o.in("metadata").(map[string]any), "labels")
	}
}

// walk calls f with every map there is in a document.
func walk(in any, f func(map[string]any)) {
	switch in := in.(type) {
	case map[string]any:
		f(in)
		for _, below := range in {
			walk(below, f)
		}
	case []any:
		for _, below := range in {
			walk(below, f)
		}
	}
}

// Everything that the role of the code allows outside of namespaces is in the
// role for it, and nothing else.
func TestTheRoleForNamedNamespacesHasWhatBelongsToNone(t *testing.T) {
	outside := []string{"namespaces", "nodes", "persistentvolumes", "storageclasses", "tokenreviews", "endpointslices"}
	all := rendered(t, "--set", "watchNamespaces={team-a}")
	rights := func(role object, keep func(resource string) bool) []string {
		var out []string
		list, _ := role.in("rules").([]any)
		for _, each := range list {
			r := object(each.(map[string]any))
			for _, group := range r.in("apiGroups").([]any) {
				for _, resource := range r.in("resources").([]any) {
					for _, verb := range r.in("verbs").([]any) {
						if keep(resource.(string)) {
							out = append(out, strings.Join([]string{group.(string), resource.(string), verb.(string)}, " "))
						}
					}
				}
			}
		}
		slices.Sort(out)
		return out
	}
	want := rights(all["ClusterRole /torrent-operator"], func(r string) bool { return slices.Contains(outside, r) })
	got := rights(all["ClusterRole /torrent-operator-cluster"], func(string) bool { return true })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-code +chart):\n%s", diff)
	}
	if _, bound := all["ClusterRoleBinding /torrent-operator"]; bound {
		t.Error("an operator for named namespaces has its rights in all of them")
	}
}
