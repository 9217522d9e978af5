//go:build chart

package chart

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var rewrite = flag.Bool("rewrite", false, "write the snapshots again")

// The snapshots show what a change of the chart does to what is installed.
func TestSnapshots(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			all := rendered(t, "--values", values)
			delete(all, "CustomResourceDefinition /torrentdownloads.torrent-operator.io") // It is generated.
			var out strings.Builder
			for _, key := range slices.Sorted(maps.Keys(all)) {
				text, err := yaml.Marshal(all[key])
				if err != nil {
					t.Fatal(err)
				}
				out.WriteString("---\n")
				out.Write(text)
			}
			path := filepath.Join("testdata", name+".yaml")
			if *rewrite {
				if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("%s is not what the chart makes; go test -tags chart ./test/chart -rewrite writes it again (-snapshot +chart):\n%s", path, diff)
			}
		})
	}
}

// A field that Kubernetes does not know, or one of a wrong kind, would be
// refused, or dropped without a word, when it is installed.
func TestKubernetesKnowsEveryField(t *testing.T) {
	scheme := clientgoscheme.Scheme
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for name, values := range valuesFiles(t) {
		for _, o := range rendered(t, "--values", values) {
			if strings.HasPrefix(o.text("apiVersion"), "monitoring.coreos.com/") {
				continue // Not Kubernetes' own.
			}
			text, err := yaml.Marshal(o)
			if err == nil {
				_, _, err = strict.Decode(text, nil, nil)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", name, o.name(), err)
			}
		}
	}
}

func TestTheCustomResourceDefinitionIsTheGeneratedOne(t *testing.T) {
	const name = "CustomResourceDefinition /torrentdownloads.torrent-operator.io"
	want := built(t, "crd")[name]
	for keep, policy := range map[string]string{"true": "keep", "false": ""} {
		got := rendered(t, "--set", "crds.keep="+keep)[name]
		if is := got.text("metadata", "annotations", "helm.sh/resource-policy"); is != policy {
			t.Errorf("with crds.keep=%s the policy is %q", keep, is)
		}
		delete(got.in("metadata", "annotations").(map[string]any), "helm.sh/resource-policy")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-generated +chart):\n%s", diff)
		}
	}
}

// Who writes a value wrong is told which one, before anything is installed.
func TestWrongValuesAreRefusedByName(t *testing.T) {
	for _, c := range []struct{ set, named string }{
		{"executor=docker", "executor"},
		{"replicaCount=two", "replicaCount"},
		{"replicaCount=-1", "replicaCount"},
		{"replicas=2", "replicas"},
		{"image.pullPolicy=Sometimes", "pullPolicy"},
		{"image.digest=abc", "digest"},
		{"watchNamespaces={No Namespace}", "watchNamespaces"},
		{"watchNamespaces=team-a", "watchNamespaces"},
		{"settings.logLevel=loud", "logLevel"},
		{"settings.statusWriteQPS=0", "statusWriteQPS"},
		{"settings.progressMinInterval=10", "progressMinInterval"},
		{"settings.maxConcurrentReconciles=0", "maxConcurrentReconciles"},
		{"workers.peerPort=80", "peerPort"},
		{"workers.peerPort=65536", "peerPort"},
		{"workers.defaults.image=mine", "image"},
		{"inProcess.localVolumeRoots={here}", "localVolumeRoots"},
		{"inProcess.denyCIDRs={10.0.0.0}", "denyCIDRs"},
		{"inProcess.assemblyMemory=much", "assemblyMemory"},
		{"podDisruptionBudget.maxUnavailable=0", "maxUnavailable"},
		{"podDisruptionBudget.maxUnavailable=half", "maxUnavailable"},
		{"networkPolicy.apiServerPorts={65536}", "apiServerPorts"},
		{"networkPolicy.workers.blockedCIDRs={all}", "blockedCIDRs"},
		{"metrics.readers[0].name=prometheus", "readers"},
		{"metrics.serviceMonitor.interval=often", "interval"},
		{"crds.instal=true", "instal"},
	} {
		_, complaint := helm(t, "--set", c.set)
		if !strings.Contains(complaint, "values don't meet the specifications") || !strings.Contains(complaint, c.named) {
			t.Errorf("%s: %q, want it refused by the name of %s", c.set, complaint, c.named)
		}
	}
}

// Each value has its comment and its place in the schema, and the schema has no
// other.
func TestEveryValueIsDocumentedAndHasASchema(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(raw), "\n")
	for i, line := range lines {
		key, value, isKey := strings.Cut(strings.TrimSpace(line), ":")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if !isKey || strings.HasPrefix(key, "#") || indent > 4 {
			continue
		}
		if inside(lines[:i], indent, "resources:", "podSecurityContext:", "securityContext:", "labels:") {
			continue // Kubernetes' own.
		}
		if value != "" && !strings.HasPrefix(strings.TrimSpace(lines[i-1]), "#") {
			t.Errorf("value %s, line %d, has no comment", key, i+1)
		}
	}
	var values map[string]any
	if err := yaml.Unmarshal(raw, &values); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema["properties"].(map[string]any), "global") // Helm's own: charts above set it.
	compareKeys(t, "", values, schema)
}

// inside says whether the line after these, indented so, stands below one of
// the keys.
func inside(lines []string, indent int, keys ...string) bool {
	for _, line := range slices.Backward(lines) {
		text := strings.TrimLeft(line, " ")
		at := len(line) - len(text)
		if text == "" || strings.HasPrefix(text, "#") || at >= indent {
			continue
		}
		if slices.Contains(keys, text) {
			return true
		}
		indent = at
	}
	return false
}

func compareKeys(t *testing.T, path string, values, schema map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil {
		return // Anything may stand there.
	}
	if others, said := schema["additionalProperties"].(bool); !said || others {
		t.Errorf("%s: the schema lets unknown values", path)
	}
	for key := range properties {
		if _, ok := values[key]; !ok && path != ".workers.defaults" {
			t.Errorf("%s.%s is in the schema alone", path, key)
		}
	}
	for key, value := range values {
		p, ok := properties[key].(map[string]any)
		if !ok {
			t.Errorf("%s.%s is not in the schema", path, key)
			continue
		}
		if below, ok := value.(map[string]any); ok {
			compareKeys(t, path+"."+key, below, p)
		}
	}
}
