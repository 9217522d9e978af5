package podexec

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

var (
	one   = download.ID{Namespace: "ml", Name: "imagenet", UID: "0a1b2c3d-4e5f-6789-abcd-ef0123456789"}
	began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	noon  = began.Add(time.Hour)
)

const theHash = "0123456789abcdef0123456789abcdef01234567"

// asked is what the tests ask for.
func asked(changes ...func(*download.Request)) *download.Request {
	r := &download.Request{
		Source:  download.Source{Magnet: "magnet:?xt=urn:btih:" + theHash},
		Volume:  download.Volume{ClaimName: "datasets", Path: "a"},
		Inbound: download.Inbound{Port: 6881},
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func seeding(r *download.Request) { r.Seeding.Policy = download.SeedForever }

// scene is a situation under construction: a download that was asked for, and
// nothing else.
func scene(changes ...func(*situation)) situation {
	s := situation{
		now: noon, id: one, m: memory{want: asked(), asked: began}, endpoint: "operator:8444", ca: []byte("ca"),
		o: &objects{
			ca: "ca", silentNodes: map[string]bool{}, hints: map[types.UID]string{},
			claim: &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}},
		},
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func want(changes ...func(*download.Request)) func(*situation) {
	return func(s *situation) { s.m.want = asked(changes...) }
}

// given is the order in the Secret, made of what is asked for unless changed.
func given(task report.Task, attempt int, changes ...func(*download.Request)) func(*situation) {
	return func(s *situation) { s.o.order = &order{task: task, attempt: attempt, request: *asked(changes...)} }
}

// job adds the Job of an attempt, and its Pod as changed; nil is no Pod.
func job(attempt int, changes ...func(*corev1.Pod)) func(*situation) {
	return func(s *situation) {
		j := &batchv1.Job{ObjectMeta: meta(one, jobName(one, attempt))}
		j.UID, j.CreationTimestamp = types.UID("job-"+strconv.Itoa(attempt)), metav1.Time{Time: began}
		j.Labels[labelAttempt] = strconv.Itoa(attempt)
		s.o.jobs = append(s.o.jobs, j)
		s.addPod(j.Name+"-abcde", "Job", j.Name, j.UID, changes)
	}
}

// set adds the StatefulSet, and its Pod as changed.
func set(changes ...func(*corev1.Pod)) func(*situation) {
	return func(s *situation) {
		s.o.seeder = &appsv1.StatefulSet{ObjectMeta: meta(one, baseName(one))}
		s.o.seeder.UID = "set"
		s.addPod(baseName(one)+"-0", "StatefulSet", s.o.seeder.Name, "set", changes)
	}
}

func (s *situation) addPod(name, kind, owner string, uid types.UID, changes []func(*corev1.Pod)) {
	if len(changes) == 0 {
		return
	}
	p := &corev1.Pod{ObjectMeta: meta(one, name)}
	p.UID, p.CreationTimestamp = types.UID("pod-of-"+string(uid)), metav1.Time{Time: began}
	p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: owner, UID: uid, Controller: ptr.To(true)}}
	p.Status.Phase = corev1.PodPending
	for _, change := range changes {
		change(p)
	}
	s.o.pods = append(s.o.pods, p)
}

func pending(*corev1.Pod) {}

func runs(p *corev1.Pod) {
	p.Spec.NodeName, p.Status.Phase = "node-1", corev1.PodRunning
	p.Status.StartTime = &metav1.Time{Time: began}
}

func deleted(p *corev1.Pod) {
	p.DeletionTimestamp = &metav1.Time{Time: noon.Add(-time.Minute)}
}

// ends has the worker end with a code, the kubelet's reason, and what it left.
func ends(code int32, reason string, result *report.Result) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		runs(p)
		p.Status.Phase = corev1.PodFailed
		if code == 0 {
			p.Status.Phase = corev1.PodSucceeded
		}
		t := &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: metav1.Time{Time: noon.Add(-time.Second)}}
		if result != nil {
			t.Message = string(report.EncodeResult(*result))
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{Terminated: t}}}
	}
}

// result is what a worker leaves behind that was asked as asked.
func result(state download.State, err *download.Failure, changes ...func(*download.Request)) *report.Result {
	p := download.Progress{State: state, InfoHash: theHash, Name: "imagenet", BytesTotal: 100, Err: err, BytesUploaded: 7}
	p.Pieces.Total = 10
	if state == download.StateComplete {
		p.BytesVerified, p.Pieces.Verified, p.CompletedAt = 100, 10, began
	}
	return &report.Result{Progress: p, Revision: revision(asked(changes...))}
}

// released is an operator that makes its Pods of something else than those that
// are there.
func released(s *situation) { s.release = "next" }

// heardOf is the last push, of the Pod of a Job or of the StatefulSet.
func heardOf(owner string, state download.State, changes ...func(*download.Request)) func(*situation) {
	return func(s *situation) {
		r := result(state, nil, changes...)
		s.m.last = r.Progress
		s.m.heard = heard{pod: types.UID("pod-of-" + owner), revision: r.Revision, state: state, at: noon}
	}
}

// waits is a container that the kubelet does not start.
func waits(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = "node-1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: container, Image: "operator:v1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

func unschedulable(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
		}}
	}
}

func disrupted(reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason})
	}
}

// does is what a verdict does, in words.
func does(v *verdict) string {
	var words []string
	for _, o := range v.remove {
		switch o.(type) {
		case *appsv1.StatefulSet:
			words = append(words, "delete seeder")
		case *corev1.Service:
			words = append(words, "delete service")
		default:
			words = append(words, "delete "+strings.TrimPrefix(o.GetName(), baseName(one)+"-"))
		}
	}
	if v.write != nil {
		words = append(words, "write "+string(v.write.task)+" "+strconv.Itoa(v.write.attempt))
	}
	if v.expose != "" {
		words = append(words, "service "+v.expose)
	}
	if v.begin {
		words = append(words, "begin")
	}
	if v.seed {
		words = append(words, "seed")
	}
	return strings.Join(words, ", ")
}

// shows is what a verdict shows, in words.
func shows(v *verdict) string {
	if v.show == nil {
		return "unknown"
	}
	out := string(v.show.State)
	if f := v.show.Err; f != nil {
		if out += " " + f.Reason; f.Permanent {
			out += " for good"
		}
	}
	return out
}

type decision struct {
	name  string
	scene situation
	does  string
	shows string
	says  []string // Words of the failure's message.
}

func (d *decision) check(t *testing.T) (memory, verdict) {
	t.Helper()
	m, v := decide(d.scene)
	if got := does(&v); got != d.does {
		t.Errorf("does %q, want %q", got, d.does)
	}
	if got := shows(&v); got != d.shows {
		t.Errorf("shows %q, want %q: %+v", got, d.shows, v.show)
	}
	if v.show == nil {
		return m, v
	}
	for _, word := range d.says {
		if f := v.show.Err; f == nil || !strings.Contains(f.Message, word) {
			t.Errorf("does not say %q: %v", word, f)
		}
	}
	return m, v
}

func check(t *testing.T, decisions []decision) {
	t.Helper()
	for _, d := range decisions {
		t.Run(d.name, func(t *testing.T) { d.check(t) })
	}
}

func TestADownloadIsAJobForEachAttempt(t *testing.T) {
	failed := download.Fail("TrackerUnreachable", "no tracker")
	forGood := download.FailForGood("PathConflict", "something is there")
	check(t, []decision{
		{"nothing is there", scene(), "write Download 1, begin", "Waiting", nil},
		{"it runs", scene(given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading)), "", "Downloading", nil},
		{"limits have changed", scene(want(func(r *download.Request) { r.Limits.MaxPeers = 7 }), given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading)), "write Download 1", "Downloading", nil},
		{"certificates have changed", scene(given(report.Download, 1), job(1, runs), func(s *situation) { s.o.ca = "old" }, heardOf("job-1", download.StateDownloading)), "write Download 1", "Downloading", nil},
		{"the hash that was found is pinned", scene(want(func(r *download.Request) { r.InfoHash = theHash }), given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading)), "", "Downloading", nil},
		{"another hash is pinned", scene(want(func(r *download.Request) { r.InfoHash = strings.Repeat("f", 40) }), given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading)), "delete 1", "Waiting WorkerEnding", nil},
		{"another claim is wanted", scene(want(func(r *download.Request) { r.Volume.ClaimName = "b" }), given(report.Download, 1), job(1, runs)), "delete 1", "Waiting WorkerEnding", nil},
		{"the operator was given another image, and this one can't be had", scene(given(report.Download, 1), job(1, waits("ErrImagePull", "not found")), released), "delete 1", "Waiting WorkerEnding", nil},
		{"the operator was given another image, and this one is on its way", scene(given(report.Download, 1), job(1, waits("ContainerCreating", "")), released), "", "Waiting WorkerPending", nil},
		{"the operator was given another image, and this one does", scene(given(report.Download, 1), job(1, runs), released, heardOf("job-1", download.StateDownloading)), "", "Downloading", nil},
		{"the one before still ends", scene(func(s *situation) { s.m.dropped = 1 }, given(report.Download, 1), job(1, runs, deleted)), "delete 1", "Waiting WorkerEnding", []string{"Pod imagenet-0a1b2c3d-1-abcde"}},
		{"the one before could not be deleted", scene(func(s *situation) { s.m.begun, s.m.dropped = 1, 1 }, given(report.Download, 1), job(1)), "delete 1", "Waiting WorkerEnding", []string{"Job imagenet-0a1b2c3d-1 "}},
		{"the one before is being deleted", scene(func(s *situation) { s.m.begun, s.m.dropped = 1, 1 }, given(report.Download, 1), job(1), func(s *situation) { s.o.jobs[0].DeletionTimestamp = &metav1.Time{Time: noon} }), "", "Waiting WorkerEnding", []string{"Job imagenet-0a1b2c3d-1 "}},
		{"limits have changed, and the Secret was refused a moment ago", scene(want(func(r *download.Request) { r.Limits.MaxPeers = 7 }), given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading), func(s *situation) {
			s.m.refused, s.m.refusedAt = download.Fail("Refused", "immutable"), noon.Add(-recheck+1)
		}), "", "Downloading Refused", nil},
		{"limits have changed, and the Secret was refused some time ago", scene(want(func(r *download.Request) { r.Limits.MaxPeers = 7 }), given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading), func(s *situation) {
			s.m.refused, s.m.refusedAt = download.Fail("Refused", "immutable"), noon.Add(-recheck)
		}), "write Download 1", "Downloading Refused", nil},
		{"the one before has ended", scene(func(s *situation) { s.m.dropped = 1 }, given(report.Download, 1), job(1, ends(7, "Error", nil))), "write Download 2, begin", "Waiting", nil},
		{"it is complete", scene(given(report.Download, 1), job(1, ends(0, "Completed", result(download.StateComplete, nil)))), "", "Complete", nil},
		{"it is complete for other files", scene(want(func(r *download.Request) { r.Files.Include = []string{"b"} }), given(report.Download, 1), job(1, ends(0, "Completed", result(download.StateComplete, nil)))), "write Download 2, begin", "Waiting", nil},
		{"a check is asked for", scene(want(func(r *download.Request) { r.VerifyToken = "now" }), given(report.Download, 1), job(1, ends(0, "Completed", result(download.StateComplete, nil)))), "write Download 2, begin", "Waiting", nil},
		{"it failed for a while", scene(given(report.Download, 1), job(1, ends(1, "Error", result(download.StateFailed, failed)))), "", "Failed TrackerUnreachable", nil},
		{"its time to try again has come", scene(given(report.Download, 1), job(1, ends(1, "Error", result(download.StateFailed, failed))), func(s *situation) { s.m.spent = 1 }), "write Download 2, begin", "Waiting", nil},
		{"it failed for good", scene(given(report.Download, 1), job(1, ends(1, "Error", result(download.StateFailed, forGood))), func(s *situation) { s.m.spent = 1 }), "", "Failed PathConflict for good", nil},
		{"it failed for good and a retry is asked for", scene(want(func(r *download.Request) { r.RetryToken = "now" }), given(report.Download, 1), job(1, ends(1, "Error", result(download.StateFailed, forGood)))), "write Download 2, begin", "Waiting", nil},
		{"what it failed for had changed", scene(given(report.Download, 1), job(1, ends(1, "Error", result(download.StateFailed, forGood, seeding)))), "write Download 2, begin", "Waiting", nil},
		{"its Job could not be made", scene(given(report.Download, 3), func(s *situation) { s.m.begun, s.m.dropped = 2, 2 }), "write Download 3, begin", "Waiting", nil},
		{"the oldest Jobs go", scene(given(report.Download, 4), job(1), job(2), job(3), job(4, ends(7, "Error", nil)), func(s *situation) { s.m.spent = 4 }), "delete 1, delete 2, write Download 5, begin", "Waiting", nil},
		{"only the metadata is wanted", scene(want(func(r *download.Request) { r.ResolveOnly = true }), given(report.Download, 1, func(r *download.Request) { r.ResolveOnly = true }),
			job(1, ends(0, "Completed", result(download.StateWaiting, nil, func(r *download.Request) { r.ResolveOnly = true })))), "", "Waiting", nil},
		{"it was only resolved", scene(given(report.Download, 1, func(r *download.Request) { r.ResolveOnly = true }),
			job(1, ends(0, "Completed", result(download.StateWaiting, nil, func(r *download.Request) { r.ResolveOnly = true })))), "write Download 2, begin", "Waiting", nil},
		{"a Service is wanted", scene(want(func(r *download.Request) { r.Inbound.Service = "NodePort" })), "service NodePort", "Waiting WorkerPending", []string{"Service peers-imagenet-0a1b2c3d"}},
		{"a Service of a cloud is wanted", scene(want(func(r *download.Request) { r.Inbound.Service = "LoadBalancer" })), "write Download 1, service LoadBalancer, begin", "Waiting", nil},
	})
}

func TestASeederIsMadeOnceTheDownloadIsComplete(t *testing.T) {
	complete := ends(0, "Completed", result(download.StateComplete, nil))
	check(t, []decision{
		{"its worker says so and still runs", scene(want(seeding), given(report.Download, 1, seeding), job(1, runs), heardOf("job-1", download.StateComplete)), "", "Seeding WorkerPending", nil},
		{"its Pod has ended", scene(want(seeding), given(report.Download, 1, seeding), job(1, complete)), "write Seed 1, seed", "Seeding WorkerPending", nil},
		{"another Pod has not ended", scene(want(seeding), given(report.Download, 1, seeding), job(1, complete), job(2, runs), func(s *situation) { s.m.dropped = 2 }), "delete 2", "Waiting WorkerEnding", nil},
		{"its Pod starts", scene(want(seeding), given(report.Seed, 1, seeding), set(pending)), "", "Seeding WorkerPending", nil},
		{"it opens the data", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateChecking)), "", "Seeding WorkerPending", nil},
		{"it seeds", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateSeeding)), "", "Seeding", nil},
		{"it seeds, and the operator was restarted", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), func(s *situation) { s.m.asked = noon }), "", "Seeding", nil},
		{"it seeds, and told that before the restarted operator looked", scene(want(seeding), given(report.Seed, 1, seeding), job(1, complete), set(runs), heardOf("set", download.StateSeeding, seeding)), "", "Seeding", nil},
		{"it makes sure that all is durable", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateFinishing)), "", "Seeding WorkerPending", nil},
		{"it has served enough", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateComplete, seeding)), "delete seeder", "Complete", nil},
		{"it had served enough of what was wanted before", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateComplete)), "", "Seeding WorkerPending", nil},
		{"no seeding is wanted any more", scene(given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateSeeding)), "delete seeder", "Complete", nil},
		{"more files are wanted", scene(want(seeding, func(r *download.Request) { r.Files.Exclude = []string{"b"} }), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateSeeding)), "delete seeder", "Waiting WorkerEnding", nil},
		{"pieces are missing", scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateDownloading)), "delete seeder", "Waiting WorkerEnding", nil},
		{"pieces were missing", scene(want(seeding), given(report.Seed, 1, seeding), func(s *situation) { s.m.void = 1 }), "write Download 2, begin", "Waiting", nil},
	})
}

func TestASeedersBytesAreCountedOn(t *testing.T) {
	s := scene(want(seeding), given(report.Download, 1, seeding), job(1, ends(0, "Completed", result(download.StateComplete, nil))))
	m, v := decide(s)
	if r := v.write.request; r.BytesUploaded != 7 || !r.CompletedAt.Equal(began) || r.Seeding.Policy != download.SeedForever {
		t.Errorf("the seeder begins with %+v", r)
	}
	s.m, s.o.order = m, v.write
	set(runs)(&s)
	s.m.last.BytesUploaded = 1000 // By a Pod before this one.
	if _, v = decide(s); v.write == nil || v.write.request.BytesUploaded != 1000 {
		t.Errorf("the next Pod is told %+v", v.write)
	}
}

func TestCompleteNeedsNoPush(t *testing.T) {
	d := decision{"", scene(given(report.Download, 1), job(1, ends(0, "Completed", result(download.StateComplete, nil)))), "", "Complete", nil}
	_, v := d.check(t)
	if p := v.show; p.BytesVerified != 100 || p.Pieces.Verified != 10 || string(p.Pieces.Have) != "\xff\xc0" || !p.CompletedAt.Equal(began) || p.Name != "imagenet" {
		t.Errorf("%+v", p)
	}
}

func TestAnOrderThatNoSecretHoldsIsRefused(t *testing.T) {
	large := func(n int) func(*download.Request) {
		return func(r *download.Request) { r.Source = download.Source{Metainfo: make([]byte, n)} }
	}
	check(t, []decision{
		{"too large", scene(want(large(800 << 10))), "", "Failed RequestTooLarge for good", []string{"spec.source.url", "1020"}},
		{"as large as there is room", scene(want(large(750 << 10))), "write Download 1, begin", "Waiting", nil},
	})
}

func TestNobodyAskedSinceTheRestart(t *testing.T) {
	nobody := func(s *situation) { s.m = memory{} }
	check(t, []decision{
		{"nothing is there", scene(nobody), "", "unknown", nil},
		{"it runs", scene(nobody, job(1, runs)), "", "unknown", nil},
		{"it seeds", scene(nobody, set(runs)), "", "unknown", nil},
		{"it is complete", scene(nobody, job(1, ends(0, "Completed", result(download.StateComplete, nil)))), "", "Complete", nil},
		{"it has failed", scene(nobody, job(1), job(2, ends(137, "OOMKilled", nil))), "", "Failed OOMKilled", nil},
	})
}

func TestTheWorkerIsTold(t *testing.T) {
	s := scene(given(report.Download, 2), job(2, runs, func(p *corev1.Pod) {
		p.Status.PodIP = "10.0.0.7"
		p.Spec.Containers = []corev1.Container{{Name: container, Ports: []corev1.ContainerPort{{Name: portName, ContainerPort: 6881}}}}
	}), heardOf("job-2", download.StateDownloading))
	_, v := decide(s)
	if p := v.show; p.Address != "10.0.0.7:6881" || p.NodeName != "node-1" || p.Worker.Owner != "imagenet-0a1b2c3d-2" || p.Worker.Pod != "imagenet-0a1b2c3d-2-abcde" {
		t.Errorf("%+v", p)
	}
}

// What nobody has changed makes nobody write.
func TestDecisionsComeToRest(t *testing.T) {
	for name, s := range map[string]situation{
		"downloading": scene(given(report.Download, 1), job(1, runs), heardOf("job-1", download.StateDownloading)),
		"empty lists": scene(want(func(r *download.Request) { r.Peers = []string{} }), given(report.Download, 1), job(1, runs)),
		"seeding":     scene(want(seeding), given(report.Seed, 1, seeding), set(runs), heardOf("set", download.StateSeeding)),
		"failed":      scene(given(report.Download, 1), job(1, ends(137, "OOMKilled", nil))),
	} {
		m, v := decide(s)
		s.m = m
		s.m.counted = maps.Clone(m.counted)
		m2, v2 := decide(s)
		if does(&v)+does(&v2) != "" || m2.pods != m.pods || shows(&v) != shows(&v2) {
			t.Errorf("%s: does %q, then %q; %d and %d Pods failed; shows %s, then %s", name, does(&v), does(&v2), m.pods, m2.pods, shows(&v), shows(&v2))
		}
	}
}
