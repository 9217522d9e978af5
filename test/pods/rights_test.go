//go:build e2e

package pods

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// right is leave to do something with a kind of object, as RBAC names it.
type right struct{ group, resource, verb string }

func (r right) String() string { return strings.TrimLeft(r.verb+" "+r.resource+"."+r.group, " ") }

// span is a time from one moment to another.
type span struct{ from, to time.Time }

// withoutRights are the times in which a test took the operator's rights from it
// on purpose.
var withoutRights []span

// takenThen reports whether the operator had no rights at a time.
func takenThen(at time.Time) bool {
	return slices.ContainsFunc(withoutRights, func(s span) bool { return at.After(s.from) && at.Before(s.to) })
}

// granted are the rights in the roles that are generated from the code.
func granted() (map[right]bool, error) {
	f, err := os.Open("../../config/rbac/role.yaml")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[right]bool{}
	for decoder := yaml.NewYAMLOrJSONDecoder(f, 4096); ; {
		var role rbacv1.ClusterRole // A Role has the same rules.
		if err := decoder.Decode(&role); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						out[right{group, resource, verb}] = true
					}
				}
			}
		}
	}
}

// eachRequest calls f with each request that a cluster of ours was asked for.
func eachRequest(f func(*auditv1.Event)) error {
	logs, err := filepath.Glob(strings.TrimSuffix(own.AuditLog(), ".log") + "*.log") // Those that are full are renamed.
	if err != nil {
		return err
	}
	for _, log := range logs {
		if err := eachIn(log, f); err != nil {
			return fmt.Errorf("%s: %w", log, err)
		}
	}
	return nil
}

func eachIn(log string, f func(*auditv1.Event)) error {
	file, err := os.Open(log)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // What comes after the last line's end is being written.
		}
		if err != nil {
			return err
		}
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return err
		}
		f(&event)
	}
}

// elsewhere are rights that nothing here uses, and what does.
var elsewhere = map[right]string{
	{"discovery.k8s.io", "endpointslices", "get"}: "the in-process executor, which keeps downloads from the API server",
	{"", "persistentvolumes", "get"}:              "the in-process executor, which mounts nothing",
	{"storage.k8s.io", "storageclasses", "get"}:   "a claim that grows, if its class can",
	{"", "persistentvolumeclaims", "patch"}:       "a claim that grows, if its class can",
	{"events.k8s.io", "events", "patch"}:          "an event that comes again after minutes",
}

// checkRights holds what was asked for in the tests against what the operator
// may do: it was never refused for want of a right that it should have had, and
// no worker asked for anything. It returns the rights that were not used.
func checkRights() (unused []string, err error) {
	const (
		people   = "system:serviceaccount:"
		operator = people + system + ":" + account
		// decision is how the API server writes down what RBAC said. Quotas and
		// the like refuse with the same code.
		decision = "authorization.k8s.io/decision"
	)
	may, err := granted()
	if err != nil {
		return nil, err
	}
	used, wrong := map[right]bool{}, map[string]bool{}
	if err := eachRequest(func(e *auditv1.Event) {
		user, ok := strings.CutPrefix(e.User.Username, people)
		if ok && strings.HasPrefix(user, "e2e-") {
			wrong[fmt.Sprintf("a Pod of a namespace with downloads asked the API server to %s %s", e.Verb, e.RequestURI)] = true
		}
		if e.User.Username != operator || e.ObjectRef == nil {
			return
		}
		resource := strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
		r := right{e.ObjectRef.APIGroup, resource, e.Verb}
		used[r] = true
		if e.Annotations[decision] == "forbid" && !takenThen(e.RequestReceivedTimestamp.Time) {
			wrong[fmt.Sprintf("the operator may not %s, and asked for %s", r, e.RequestURI)] = true
		}
	}); err != nil {
		return nil, err
	}
	if len(used) == 0 {
		return nil, errors.New("the operator asked for nothing, so its rights can't be judged")
	}
	for r := range may {
		// A client may begin to watch by a list, or by a watch that begins with one.
		began := right{r.group, r.resource, "watch"}
		if !used[r] && (r.verb != "list" || !used[began]) && elsewhere[r] == "" {
			unused = append(unused, r.String())
		}
	}
	slices.Sort(unused)
	if len(wrong) > 0 {
		err = errors.New("by the audit log:\n  " + strings.Join(slices.Sorted(maps.Keys(wrong)), "\n  "))
	}
	return unused, err
}
