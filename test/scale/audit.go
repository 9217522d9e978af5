package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
)

// auditPolicy has the API server write down what the operator asks of it, and
// nobody else.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: ["system:serviceaccount:` + system + `:` + account + `"]
- level: None
`

// audited are the flags of an API server that writes to the folder.
func audited(dir string) ([]string, error) {
	policy := filepath.Join(dir, "audit.yaml")
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + filepath.Join(dir, "audit.log")},
		os.WriteFile(policy, []byte(auditPolicy), 0o600)
}

// asked is a request that the operator has made.
type asked struct {
	verb, resource string // The resource with its subresource.
	name           string // "" for lists.
}

// audit returns what the operator has asked so far.
func audit(dir string) ([]asked, error) {
	f, err := os.Open(filepath.Join(dir, "audit.log"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []asked
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb      string
			ObjectRef struct{ Resource, Subresource, Name string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			break // The last line is being written.
		}
		at := event.ObjectRef
		if at.Subresource != "" {
			at.Resource += "/" + at.Subresource
		}
		out = append(out, asked{event.Verb, at.Resource, at.Name})
	}
	return out, lines.Err()
}

// byKind counts requests by verb and resource.
func byKind(all []asked) map[string]float64 {
	out := map[string]float64{}
	for _, a := range all {
		out[a.verb+" "+a.resource]++
	}
	return out
}
