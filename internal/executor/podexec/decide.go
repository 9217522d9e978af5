package podexec

import (
	"cmp"
	"hash/fnv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// keep looks after the Job that runs: it goes on if it fits what is wanted, and
// is told what has changed.
func (s *situation) keep(v *verdict) {
	j, g := s.job(), s.o.order
	found := ""
	pod := s.podOf(j)
	if pod != nil && s.m.heard.pod == pod.UID {
		found = s.m.last.InfoHash
	}
	if g == nil || g.attempt != attemptOf(j) || g.task != report.Download || !fits(&g.request, s.m.want, found) || s.moved(g) || s.mended(j, pod) {
		s.m.dropped = attemptOf(j)
		v.drop(j)
		v.show = s.waiting(download.Fail(download.ReasonWorkerEnding, "Another request came; Job %s ends first", j.Name))
		return
	}
	s.update(v, g)
	s.expose(v)
	if pod != nil && s.m.heard.pod == pod.UID && !s.overdue(pod) {
		v.show, v.again = s.told(pod)
	} else {
		v.show, v.again = s.waiting(s.trouble(j, pod)), recheck
	}
	s.tellRefused(v)
}

// tellRefused tells why something beside a Pod that runs could not be made or
// changed, unless there is something else to tell.
func (s *situation) tellRefused(v *verdict) {
	if v.show.Err == nil {
		v.show.Err = s.m.refused
	}
}

// mended says that a Pod could not be started so far, and that the operator
// makes others since, such as with an image that is there.
func (s *situation) mended(j *batchv1.Job, p *corev1.Pod) bool {
	return p != nil && p.Status.Phase == corev1.PodPending && j.Annotations[annotationRelease] != s.release && s.unstarted(p) != nil
}

// update has the Secret say what has changed for a Pod that goes on. What it
// was given of earlier runs stays, because it counts from there.
func (s *situation) update(v *verdict, g *order) {
	if s.refusedLately() {
		return
	}
	next := order{task: g.task, attempt: g.attempt, request: s.request(g.task)}
	next.request.BytesUploaded, next.request.CompletedAt = g.request.BytesUploaded, g.request.CompletedAt
	next.request.InfoHash, next.request.Inbound = g.request.InfoHash, g.request.Inbound
	if !same(&next.request, &g.request) || s.o.ca != string(s.ca) {
		v.write = &next
	}
}

// request is what a worker with a task is asked for.
func (s *situation) request(task report.Task) download.Request {
	r := *s.m.want
	if port := s.nodePort(); port != 0 {
		r.Inbound.Port = port
	}
	if r.VerifyToken == s.m.checked || task == report.Seed {
		r.VerifyToken = ""
	}
	return r
}

// fresh is the request for a Pod that is begun now: it goes on from what the
// ones before have done.
func (s *situation) fresh(task report.Task) download.Request {
	r := s.request(task)
	last := &s.m.last
	r.BytesUploaded = max(r.BytesUploaded, last.BytesUploaded)
	if g := s.o.order; g != nil {
		r.BytesUploaded = max(r.BytesUploaded, g.request.BytesUploaded)
	}
	if r.CompletedAt.IsZero() && task == report.Seed {
		r.CompletedAt = last.CompletedAt
	}
	return r
}

// rest leaves a download alone that has come to what is wanted. Its last Job
// stays for a while, for its log.
func (s *situation) rest(v *verdict) {
	s.dropSeeder(v)
	if s.o.service != nil {
		v.drop(s.o.service)
	}
	v.show = s.at(download.StateComplete, nil)
	if s.m.want.ResolveOnly {
		v.show.State = download.StateWaiting
	}
}

// fetch begins the next attempt, unless something speaks against it.
func (s *situation) fetch(v *verdict) {
	s.dropSeeder(v)
	if s.held() {
		v.show = s.failed(s.m.ended.failure, s.m.ended.at)
		return
	}
	if f := s.m.refused; f != nil {
		v.show = s.failed(f, s.m.refusedAt)
		return
	}
	if s.blocked(v) {
		return
	}
	attempt := max(s.m.begun, s.m.ended.attempt) + 1
	if g := s.o.order; g != nil && g.task == report.Seed {
		attempt = max(attempt, g.attempt+1)
	} else if g != nil {
		attempt = max(attempt, g.attempt) // One whose Job could not be made.
	}
	s.start(v, &order{task: report.Download, attempt: attempt, request: s.fresh(report.Download)})
	v.begin = v.write != nil
	for _, j := range s.o.jobs {
		if v.begin && attemptOf(j) <= attempt-keptJobs {
			v.drop(j)
		}
	}
}

// drop has an object deleted, unless it is going already.
func (v *verdict) drop(o client.Object) {
	if o.GetDeletionTimestamp() == nil {
		v.remove = append(v.remove, o)
	}
}

func (s *situation) dropSeeder(v *verdict) {
	if s.o.seeder != nil {
		v.drop(s.o.seeder)
	}
}

// endOutlived has Pods end whose worker has ended and something else in them
// has not, such as the proxy of a service mesh. Their Job goes too, because
// Kubernetes counts a Pod that is deleted as one that has failed.
func (s *situation) endOutlived(v *verdict) {
	for _, j := range s.o.jobs {
		if p := s.podOf(j); attemptOf(j) <= s.m.ended.attempt && p != nil && outlived(p) {
			v.drop(j)
		}
	}
}

// seed looks after the seeder of a complete download, or makes it.
func (s *situation) seed(v *verdict) {
	g, set := s.o.order, s.o.seeder
	mine := g != nil && g.task == report.Seed && set != nil && set.DeletionTimestamp == nil
	switch {
	case mine && fits(&g.request, s.m.want, s.m.last.InfoHash) && !s.moved(g) && !s.outdated():
		s.update(v, g)
		s.expose(v)
		pod := s.seederPod()
		if pod != nil && s.m.heard.pod == pod.UID && !s.overdue(pod) {
			v.show, v.again = s.told(pod)
			s.serving(v.show)
			s.tellRefused(v)
			return
		}
		if pod != nil && s.m.heard.pod != pod.UID && v.write == nil && s.m.last.BytesUploaded > g.request.BytesUploaded {
			next := *g // A new Pod, which has not told anything yet, counts from here.
			next.request.BytesUploaded = s.m.last.BytesUploaded
			v.write = &next
		}
		why := s.trouble(set, pod)
		if why == nil && (pod == nil || pod.Status.Phase != corev1.PodRunning) {
			why = opening()
		}
		v.show, v.again = s.settling(why), recheck
		s.tellRefused(v)
	case set != nil:
		v.drop(set)
		v.show = s.settling(setEnds(set))
	case s.m.refused != nil && (s.m.refused.Permanent || s.now.Sub(s.m.refusedAt) < refusedSeeder):
		v.show, v.again = s.settling(s.m.refused), refusedSeeder // The data is there all the same.
	case s.blocked(v):
		v.show = s.settling(v.show.Err)
	default:
		attempt := s.m.ended.attempt
		if g != nil {
			attempt = max(attempt, g.attempt)
		}
		s.start(v, &order{task: report.Seed, attempt: attempt, request: s.fresh(report.Seed)})
		v.seed = v.write != nil
		if v.show.State == download.StateWaiting {
			v.show = s.settling(cmp.Or(v.show.Err, s.m.refused, opening()))
		}
	}
}

// refusedLately says that the API server did not take something a moment ago,
// so that it is not asked again yet.
func (s *situation) refusedLately() bool {
	return s.m.refused != nil && s.now.Sub(s.m.refusedAt) < recheck
}

// leftover is a Job that was to go and may still make a Pod: it could not be
// deleted then, and is now.
func (s *situation) leftover(v *verdict) *batchv1.Job {
	for _, j := range s.o.jobs {
		if attemptOf(j) > s.m.dropped || attemptOf(j) <= s.m.ended.attempt || s.o.over(j) {
			continue
		}
		v.drop(j)
		return j
	}
	return nil
}

// blocked says that nothing may be begun now, and shows why.
func (s *situation) blocked(v *verdict) bool {
	left := s.leftover(v)
	if p := s.running(); p != nil {
		v.show, v.again = s.waiting(s.ending(p)), recheck
		return true
	}
	if left != nil {
		v.show, v.again = s.waiting(jobEnds(left)), recheck
		return true
	}
	if set := s.o.seeder; set != nil {
		v.show = s.waiting(setEnds(set))
	}
	return s.o.seeder != nil
}

// start has an order written for a Pod that is made next. One that is reached
// at a port of the nodes has to be told which that is, so its Service comes
// first.
func (s *situation) start(v *verdict, o *order) {
	if _, err := o.secret(s.id, s.endpoint, s.ca); err != nil {
		f, _ := err.(*download.Failure) //nolint:errorlint // It is made there, and not wrapped.
		v.show = s.failed(f, s.now)
		return
	}
	s.expose(v)
	if s.m.want.Inbound.Service == string(corev1.ServiceTypeNodePort) && s.nodePort() == 0 {
		v.show, v.again = s.waiting(s.soon("Service %s is being made", serviceName(s.id))), recheck
		return
	}
	o.oneNode = oneNode(s.o.claim)
	v.write = o
	v.show = s.waiting(s.m.inTheWay)
}

// expose makes the Service for peers from outside, if there is to be one.
func (s *situation) expose(v *verdict) {
	if s.refusedLately() {
		return
	}
	kind := s.m.want.Inbound.Service
	switch {
	case s.o.service == nil:
		v.expose = kind
	case string(s.o.service.Spec.Type) != kind:
		v.drop(s.o.service)
		v.expose = kind
	}
}

// nodePort is the port of all nodes at which the download is reached, 0 if
// there is none. Its worker takes peers at that one, because it is the one
// that it tells trackers of.
func (s *situation) nodePort() int {
	svc := s.o.service
	if svc == nil || svc.DeletionTimestamp != nil || svc.Spec.Type != corev1.ServiceTypeNodePort || s.m.want.Inbound.Service != string(svc.Spec.Type) {
		return 0
	}
	for _, p := range svc.Spec.Ports {
		if p.Name == portName {
			return int(p.NodePort)
		}
	}
	return 0
}

// moved says that the Service has another port than the worker was given.
func (s *situation) moved(g *order) bool {
	port := s.nodePort()
	return port != 0 && port != g.request.Inbound.Port
}

// outdated says that an operator of another image or with other defaults has
// made the seeder, and that its turn has come to begin anew. Each has its own
// moment after the operator has begun, so that not all do at once.
func (s *situation) outdated() bool {
	h := fnv.New32a()
	h.Write([]byte(s.id.UID))
	moment := time.Duration(h.Sum32()%1024) * upgradeSpread / 1024
	return s.o.seeder.Annotations[annotationRelease] != s.release && s.now.Sub(s.m.asked) >= moment
}

// unasked is what is known of a download that nobody has asked for since this
// process began: how it ended, or nothing. What still runs is asked for soon,
// and what was reported of it stays until then.
func (s *situation) unasked() *download.Progress {
	if s.m.ended.attempt == 0 || s.job() != nil || s.o.seeder != nil {
		return nil
	}
	if f := s.m.ended.failure; f != nil {
		return s.dressed(s.failed(f, s.m.ended.at))
	}
	p := s.m.last
	idle(&p)
	return s.dressed(&p)
}

// overdue says that a Pod was to be gone some time ago.
func overdue(now time.Time, p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && now.After(p.DeletionTimestamp.Add(patience))
}

// overdue says that a Pod was to be gone some time ago, or that its node does
// not answer.
func (s *situation) overdue(p *corev1.Pod) bool {
	return s.o.silentNodes[p.Spec.NodeName] && p.Spec.NodeName != "" || overdue(s.now, p)
}
