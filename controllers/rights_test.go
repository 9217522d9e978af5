package controllers

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// What administrators read of the operator's rights is what it has: a row of
// docs/security.md for each resource, of all namespaces or of its own.
func TestEachRightIsExplained(t *testing.T) {
	generated, err := os.ReadFile("../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for text := range strings.SplitSeq(string(generated), "\n---\n") {
		var role rbacv1.ClusterRole // A Role has the same rules.
		if err := yaml.Unmarshal([]byte(text), &role); err != nil {
			t.Fatal(err)
		}
		where := "`*` "
		if role.Kind == "Role" {
			where = "its own "
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					name := where + strings.TrimSuffix(resource+"."+group, ".")
					want[name] = slices.Sorted(slices.Values(append(want[name], rule.Verbs...)))
				}
			}
		}
	}
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`\\*`|its own) \\| `([a-z0-9./-]+)` \\| ([a-z` ]+) \\| .+ \\|$").FindAllStringSubmatch(string(page), -1) {
		got[row[1]+" "+row[2]] = slices.Sorted(slices.Values(strings.Fields(strings.ReplaceAll(row[3], "`", ""))))
	}
	if len(want) == 0 {
		t.Error("config/rbac/role.yaml has no rules")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/security.md explains other rights than there are (-config/rbac/role.yaml +docs/security.md):\n%s", diff)
	}
}
