//go:build chart

package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alerts is a file of Prometheus' rules.
type alerts struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

func readAlerts(t *testing.T) alerts {
	t.Helper()
	var a alerts
	readYAML(t, filepath.Join(chart, "files", "alerts.yaml"), &a)
	return a
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readText(t, path)), into); err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// promtool runs Prometheus' own tool. Where this process is root on Debian it
// installs it.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		install := []string{"apt-get", "install", "-y", "--no-install-recommends", "prometheus"}
		if os.Getuid() != 0 {
			t.Fatalf("%v: as root, %s", err, strings.Join(install, " "))
		}
		cmd := exec.CommandContext(t.Context(), install[0], install[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("installing promtool: %v: %s", err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestAlertsFireWhenTheyShouldAndNotOtherwise(t *testing.T) {
	promtool(t, "test", "rules", "testdata/alerts_test.yaml")
	var tests struct {
		Tests []struct {
			Rules []struct {
				Alertname string
				Expected  []any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	readYAML(t, "testdata/alerts_test.yaml", &tests)
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, r := range test.Rules {
			if len(r.Expected) > 0 {
				fires[r.Alertname] = true
			} else {
				rests[r.Alertname] = true
			}
		}
	}
	for _, group := range readAlerts(t).Groups {
		for _, r := range group.Rules {
			if !fires[r.Alert] || !rests[r.Alert] {
				t.Errorf("no test has %s both fire and rest", r.Alert)
			}
		}
	}
}

func TestEachAlertHasARunbook(t *testing.T) {
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(readText(t, "../../docs/alerts.md"), -1) {
		sections[m[1]] = true
	}
	for _, group := range readAlerts(t).Groups {
		for _, r := range group.Rules {
			if !sections[r.Alert] {
				t.Errorf("docs/alerts.md has no section %s", r.Alert)
			}
			delete(sections, r.Alert)
			if url := r.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/alerts.md#"+strings.ToLower(r.Alert)) {
				t.Errorf("the runbook of %s is %s", r.Alert, url)
			}
		}
	}
	for section := range sections {
		t.Errorf("docs/alerts.md has a section %s, and there is no such alert", section)
	}
}

// dashboard is what of a Grafana dashboard is looked at here.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []struct {
		ID          int
		Title, Type string
		Datasource  struct{ Type, UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ RefID, Expr string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readText(t, filepath.Join(chart, "files", "dashboard.json"))), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDashboardIsWhole(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Fatalf("%+v", d)
	}
	if v := d.Templating.List; len(v) != 1 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[0].Query != "prometheus" {
		t.Errorf("its variables are %+v", v)
	}
	var ids []int
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		ids = append(ids, p.ID)
		if p.Title == "" || p.Type == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %d is %+v", p.ID, p)
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is wider than the page", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("panels %q and %q lie over each other", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != len(d.Panels) {
		t.Error("two panels have the same id")
	}
}

// expressions are all of alerts and dashboard, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, group := range readAlerts(t).Groups {
		for _, r := range group.Rules {
			all["alert "+r.Alert] = r.Expr
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all[fmt.Sprintf("panel %q, %s", p.Title, target.RefID)] = strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
		}
	}
	return all
}

func TestPrometheusReadsEveryExpression(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups:\n- name: all\n  rules:\n")
	n := 0
	for _, expr := range expressions(t) {
		n++
		fmt.Fprintf(&rules, "  - {record: r%d, expr: %q}\n", n, expr)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// docs/metrics.md has the names that there are, and each of ours is of use to
// somebody: an alert or the dashboard shows it.
func TestEveryExpressionNamesMetricsThatThereAre(t *testing.T) {
	there := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+_[a-z_]+)`").FindAllStringSubmatch(readText(t, "../../docs/metrics.md"), -1) {
		there[m[1]] = true
	}
	shown := map[string]bool{}
	name := regexp.MustCompile(`\b(torrent_operator|controller_runtime|workqueue|leader_election|rest_client|process|go)_[a-z_]+`)
	for where, expr := range expressions(t) {
		found := name.FindAllString(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric: %s", where, expr)
		}
		for _, metric := range found {
			metric = strings.TrimSuffix(metric, "_bucket")
			shown[metric] = true
			if !there[metric] {
				t.Errorf("%s names %s, which docs/metrics.md does not know", where, metric)
			}
		}
	}
	for metric := range there {
		if strings.HasPrefix(metric, "torrent_operator_") && !shown[metric] {
			t.Errorf("neither an alert nor the dashboard shows %s", metric)
		}
	}
}
