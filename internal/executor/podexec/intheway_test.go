package podexec

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// made are the Job and the Pod of a download's attempt, as they were made.
func made(t *testing.T, id download.ID, changes ...func(*download.Request)) (*batchv1.Job, *corev1.Pod) {
	t.Helper()
	j, err := (&Config{}).job(id, &order{task: report.Download, attempt: 1, request: *asked(changes...)})
	if err != nil {
		t.Fatal(err)
	}
	j.UID = types.UID("job-of-" + id.UID)
	s := situation{o: &objects{}}
	s.addPod(j.Name+"-abcde", "Job", j.Name, j.UID, []func(*corev1.Pod){runs, func(p *corev1.Pod) {
		p.Labels, p.Annotations = j.Spec.Template.Labels, j.Spec.Template.Annotations
	}})
	return j, s.o.pods[0]
}

var other = download.ID{Namespace: one.Namespace, Name: "other", UID: "f0000000-4e5f-6789-abcd-ef0123456789"}

// object is what has the name of other, with a UID.
func object(uid string) *v1alpha1.TorrentDownload {
	td := &v1alpha1.TorrentDownload{}
	td.Namespace, td.Name, td.UID = other.Namespace, other.Name, types.UID(uid)
	return td
}

func apiServer(t *testing.T) *fake.ClientBuilder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme)
}

// Whoever may make Pods in a namespace can label thousands: they must not cost
// the API server, and so the downloads of others, a request each.
func TestADownloadIsAskedForOnceHoweverManyPodsNameIt(t *testing.T) {
	has := []client.Object{object(other.UID)}
	_, pod := made(t, other)
	for i := range 50 {
		p := pod.DeepCopy()
		p.Name = fmt.Sprintf("copy-%d", i)
		has = append(has, p)
	}
	asks := 0
	live := apiServer(t).WithObjects(has...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			asks++
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	f, err := New(Config{Live: live}).inTheWay(t.Context(), one, asked())
	if f != nil || err != nil || asks != 1 {
		t.Errorf("%d requests for one download: %v, %v", asks, f, err)
	}
}

// The API server is asked for what may write to the volume: the cache may be
// late, and this process may have begun a moment ago.
func TestWhatMayWriteIsInTheWay(t *testing.T) {
	at := func(claim, path string) func(*download.Request) {
		return func(r *download.Request) { r.Volume = download.Volume{ClaimName: claim, Path: path} }
	}
	long := strings.Repeat("long.", 20) + "claim"
	job, pod := made(t, one)
	done := pod.DeepCopy()
	done.Status.Phase = corev1.PodSucceeded
	ended := job.DeepCopy()
	ended.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	theirs := func(changes ...func(*download.Request)) []client.Object {
		j, p := made(t, other, changes...)
		return []client.Object{j, p}
	}
	copied := &corev1.Pod{} // As kubectl debug --copy-to makes one: no cache holds it.
	copied.Namespace, copied.Name, copied.Labels = one.Namespace, "copy", map[string]string{labelUID: one.UID}
	resolving := func(r *download.Request) { r.ResolveOnly = true }
	for _, c := range []struct {
		name string
		want *download.Request
		has  []client.Object
		says []string // nil if nothing is in the way.
	}{
		{"nothing is there", asked(), nil, nil},
		{"its Pod runs", asked(), []client.Object{job, pod}, []string{"Pod imagenet-0a1b2c3d-1-abcde "}},
		{"its Pod runs, and its Job is gone", asked(), []client.Object{pod}, []string{"Pod imagenet-0a1b2c3d-1-abcde "}},
		{"its Pod runs, on another claim", asked(at("another", "")), []client.Object{job, pod}, []string{"Pod "}},
		{"a Pod that nobody watches has its label", asked(), []client.Object{copied}, []string{"Pod copy "}},
		{"its Pod has ended", asked(), []client.Object{job, done}, nil},
		{"its Job has no Pod yet", asked(), []client.Object{job}, []string{"Job imagenet-0a1b2c3d-1 "}},
		{"its Job has ended, and its Pod is gone", asked(), []client.Object{ended}, nil},
		{"another download has the place", asked(), append(theirs(), object(other.UID)), nil}, // It was decided that both may run.
		{"a deleted one has the place", asked(), theirs(), []string{"Pod other-f0000000-1-abcde ", "was deleted"}},
		{"a deleted one has the place, and its name is another's", asked(), append(theirs(), object("new")), []string{"Pod other-"}},
		{"a deleted one's Job has no Pod yet", asked(), theirs()[:1], []string{"Job other-f0000000-1 ", "was deleted"}},
		{"a deleted one is below the place", asked(), theirs(at("datasets", "a/b")), []string{"Pod other-"}},
		{"a deleted one is above the place", asked(), theirs(at("datasets", "")), []string{"Pod other-"}},
		{"a deleted one is beside the place", asked(), theirs(at("datasets", "ab")), nil},
		{"a deleted one is on another claim", asked(), theirs(at("another", "a")), nil},
		{"a deleted one is on a claim of a long name", asked(at(long, "")), theirs(at(long, "")), []string{"Pod other-"}},
		{"a deleted one only resolves", asked(), theirs(resolving), nil},
		{"only the metadata is wanted", asked(resolving), theirs(), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := New(Config{Live: apiServer(t).WithObjects(c.has...).Build()})
			f, err := x.inTheWay(t.Context(), one, c.want)
			if err != nil {
				t.Fatal(err)
			}
			if (f != nil) != (c.says != nil) {
				t.Fatalf("in the way is %v", f)
			}
			for _, word := range c.says {
				if f.Reason != download.ReasonWorkerEnding || !strings.Contains(f.Message, word) {
					t.Errorf("it does not say %q: %s: %s", word, f.Reason, f.Message)
				}
			}
		})
	}
}

// Thousands of Pods may have the claim that one waits for. They are read page by
// page, and one that is on a later page is seen.
func TestWhatIsInTheWayIsReadPageByPage(t *testing.T) {
	_, pod := made(t, other)
	all := make([]corev1.Pod, 2*page+1) // All but the last have ended.
	for i := range all {
		all[i] = *pod.DeepCopy()
		all[i].Name = fmt.Sprintf("pod-%d", i)
		all[i].Status.Phase = corev1.PodSucceeded
	}
	last := &all[len(all)-1]
	last.Status.Phase = corev1.PodRunning
	asks := 0
	live := apiServer(t).WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
			var o client.ListOptions
			o.ApplyOptions(opts)
			pods, isPods := into.(*corev1.PodList)
			if !isPods || o.LabelSelector.Matches(labels.Set{labelUID: one.UID}) {
				return nil
			}
			if asks++; o.Limit != page {
				t.Errorf("it asks for %d at a time", o.Limit)
			}
			from, _ := strconv.Atoi(o.Continue)
			to := min(from+page, len(all))
			if pods.Items = all[from:to]; to < len(all) {
				pods.Continue = strconv.Itoa(to)
			}
			return nil
		},
	}).Build()
	f, err := New(Config{Live: live}).inTheWay(t.Context(), one, asked())
	if err != nil || f == nil || !strings.Contains(f.Message, last.Name) || asks != 3 {
		t.Errorf("after %d pages: %v, %v", asks, f, err)
	}
}
