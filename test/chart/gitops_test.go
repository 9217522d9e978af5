//go:build chart

package chart

import (
	"path/filepath"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/lifecycle"
)

const customization = "torrent-operator.io_TorrentDownload"

// argo is what Argo CD's settings have for TorrentDownloads.
func argo(t *testing.T) (health string, actions map[string]string) {
	t.Helper()
	var settings struct{ Data map[string]string }
	readYAML(t, filepath.Join(config, "gitops", "argocd-cm.yaml"), &settings)
	var a struct {
		Discovery   string `json:"discovery.lua"`
		Definitions []struct {
			Name   string
			Action string `json:"action.lua"`
		}
	}
	if err := yaml.UnmarshalStrict([]byte(settings.Data["resource.customizations.actions."+customization]), &a); err != nil {
		t.Fatal(err)
	}
	actions = map[string]string{"": a.Discovery}
	for _, d := range a.Definitions {
		actions[d.Name] = d.Action
	}
	return settings.Data["resource.customizations.health."+customization], actions
}

// script runs a script as Argo CD does, with the object as obj, and returns
// what it returns, in the form of JSON.
func script(t *testing.T, text string, td *v1alpha1.TorrentDownload) object {
	t.Helper()
	vm := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer vm.Close()
	// Argo CD has these libraries, and of os what tells the time.
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.OsLibName: lua.OpenOs,
	} {
		if err := vm.CallByParam(lua.P{Fn: vm.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	vm.SetGlobal("obj", toLua(vm, decoded(t, td)))
	if err := vm.DoString(text); err != nil {
		t.Fatal(err)
	}
	out, _ := fromLua(vm.Get(-1)).(map[string]any)
	return out
}

// decoded is the object as it comes from the API server.
func decoded(t *testing.T, td *v1alpha1.TorrentDownload) map[string]any {
	t.Helper()
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(td)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func toLua(vm *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case map[string]any:
		table := vm.NewTable()
		for key, each := range v {
			table.RawSetString(key, toLua(vm, each))
		}
		return table
	case []any:
		table := vm.NewTable()
		for _, each := range v {
			table.Append(toLua(vm, each))
		}
		return table
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case bool:
		return lua.LBool(v)
	}
	return lua.LNil
}

func fromLua(v lua.LValue) any {
	switch v := v.(type) {
	case *lua.LTable:
		out := map[string]any{}
		v.ForEach(func(key, each lua.LValue) { out[key.String()] = fromLua(each) })
		return out
	case lua.LString:
		return string(v)
	case lua.LBool:
		return bool(v)
	case lua.LNumber:
		return float64(v)
	}
	return nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// undecided is a new object whose claim and source are there.
func undecided() (*v1alpha1.TorrentDownload, lifecycle.Inputs) {
	td := &v1alpha1.TorrentDownload{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TorrentDownload"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "imagenet", UID: "5f0a", Generation: 1, CreationTimestamp: metav1.NewTime(noon)},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source:  v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "https://example.org/a.torrent"}},
			Volume:  v1alpha1.Volume{ClaimName: "datasets"},
			Seeding: v1alpha1.Seeding{Policy: v1alpha1.SeedingNone},
		},
		Status: v1alpha1.TorrentDownloadStatus{ObservedGeneration: -1},
	}
	return td, lifecycle.Inputs{Source: download.Source{URL: &download.URL{Address: "https://example.org/a.torrent"}}, Claim: lifecycle.Claim{Exists: true}}
}

// Whatever state a download is in, Flux (by kstatus) and Argo CD (by the script)
// say the same of it.
func TestHealthInEveryState(t *testing.T) {
	health, _ := argo(t)
	at := func(state download.State, why *download.Failure) *download.Progress {
		return &download.Progress{
			At: noon, State: state, InfoHash: "0123456789abcdef0123456789abcdef01234567", Name: "imagenet", BytesTotal: 100, BytesVerified: 40,
			DownloadBytesPerSecond: 10, Pieces: download.Pieces{Length: 10, Total: 10, Verified: 4, Have: []byte{0xf0, 0}}, Err: why,
		}
	}
	done := func(state download.State) *download.Progress {
		p := at(state, nil)
		p.BytesVerified, p.Pieces.Verified, p.Pieces.Have, p.CompletedAt = 100, 10, []byte{0xff, 0xc0}, noon
		return p
	}
	for _, c := range []struct {
		name    string
		p       *download.Progress
		change  func(*v1alpha1.TorrentDownload)
		kstatus status.Status
		argo    string
	}{
		{"pending", nil, nil, status.InProgressStatus, "Progressing"},
		{"resolving", &download.Progress{State: download.StateResolving}, nil, status.InProgressStatus, "Progressing"},
		{"waiting", at(download.StateWaiting, download.Fail("ClaimPending", "It is not bound.")), nil, status.InProgressStatus, "Progressing"},
		{"checking", at(download.StateChecking, nil), nil, status.InProgressStatus, "Progressing"},
		{"downloading", at(download.StateDownloading, nil), nil, status.InProgressStatus, "Progressing"},
		{"stalled", at(download.StateStalled, download.Fail("NoPeers", "Nobody is there.")), nil, status.FailedStatus, "Degraded"},
		{"finishing", at(download.StateFinishing, nil), nil, status.InProgressStatus, "Progressing"},
		{"complete", done(download.StateComplete), nil, status.CurrentStatus, "Healthy"},
		{"seeding", done(download.StateSeeding), func(td *v1alpha1.TorrentDownload) {
			td.Spec.Seeding.Policy = v1alpha1.SeedingForever
		}, status.CurrentStatus, "Healthy"},
		{"failed, tried again", at(download.StateFailed, download.Fail("VolumeError", "It broke.")), nil, status.InProgressStatus, "Progressing"},
		{"failed for good", at(download.StateFailed, download.FailForGood("PathConflict", "It is taken.")), nil, status.FailedStatus, "Degraded"},
		{"suspended", nil, func(td *v1alpha1.TorrentDownload) { td.Spec.Suspend = ptr.To(true) }, status.InProgressStatus, "Suspended"},
		{"changed since", at(download.StateStalled, download.Fail("NoPeers", "Nobody is there.")), func(td *v1alpha1.TorrentDownload) {
			td.Status.ObservedGeneration = -2
		}, status.InProgressStatus, "Progressing"},
		{"deleted", at(download.StateDownloading, nil), func(td *v1alpha1.TorrentDownload) {
			now := metav1.NewTime(noon)
			td.DeletionTimestamp, td.Finalizers = &now, []string{v1alpha1.Finalizer}
		}, status.TerminatingStatus, "Progressing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			td, in := undecided()
			if c.change != nil {
				c.change(td)
			}
			outdated := td.Status.ObservedGeneration == -2
			td.Status = lifecycle.Next(noon, td, in, c.p).Status
			if outdated {
				td.Generation++
			}
			k, err := status.Compute(&unstructured.Unstructured{Object: decoded(t, td)})
			if err != nil {
				t.Fatal(err)
			}
			got := script(t, health, td)
			if k.Status != c.kstatus || got.text("status") != c.argo || got.text("message") == "" {
				t.Errorf("kstatus says %s, want %s; Argo CD says %v, want %s; conditions are %+v", k.Status, c.kstatus, got, c.argo, td.Status.Conditions)
			}
		})
	}
}

// Argo CD shows an object before the operator has seen it.
func TestAnObjectThatNobodyHasSeenYetIsProgressing(t *testing.T) {
	health, _ := argo(t)
	td, _ := undecided()
	if got := script(t, health, td); got.text("status") != "Progressing" {
		t.Errorf("%v", got)
	}
}

func TestActions(t *testing.T) {
	_, actions := argo(t)
	td, _ := undecided()
	for _, suspended := range []bool{false, true} {
		td.Spec.Suspend = &suspended
		offers := script(t, actions[""], td)
		for name, disabled := range map[string]bool{"suspend": suspended, "resume": !suspended, "retry": suspended, "verify": suspended} {
			if got := offers.in(name, "disabled"); got != disabled {
				t.Errorf("suspended=%v: %s is disabled=%v", suspended, name, got)
			}
			if actions[name] == "" {
				t.Errorf("%s does nothing", name)
			}
		}
		if len(offers) != len(actions)-1 {
			t.Errorf("%d are offered, and %d can be done", len(offers), len(actions)-1)
		}
	}
	for name, want := range map[string]bool{"suspend": true, "resume": false} {
		if got := script(t, actions[name], td).in("spec", "suspend"); got != want {
			t.Errorf("after %s, spec.suspend is %v", name, got)
		}
	}
	for name, annotation := range map[string]string{"retry": v1alpha1.AnnotationRetryRequestedAt, "verify": v1alpha1.AnnotationVerifyRequestedAt} {
		for _, annotations := range []map[string]string{nil, {annotation: "before", "other": "stays"}} {
			td.Annotations = annotations
			o := script(t, actions[name], td)
			at, err := time.Parse(time.RFC3339, o.text("metadata", "annotations", annotation))
			if err != nil || at.IsZero() {
				t.Errorf("%s: %v", name, err)
			}
			if annotations != nil && o.text("metadata", "annotations", "other") != "stays" {
				t.Errorf("%s takes other annotations away", name)
			}
		}
	}
}
