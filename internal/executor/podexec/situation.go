package podexec

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// objects is what the cluster has of one download.
type objects struct {
	order   *order // What the Secret says; nil if there is none.
	ca      string // The certificates in it.
	jobs    []*batchv1.Job
	eraser  *batchv1.Job // The Job that removes the data; nil if there is none.
	seeder  *appsv1.StatefulSet
	service *corev1.Service
	pods    []*corev1.Pod
	claim   *corev1.PersistentVolumeClaim // nil if it does not exist.

	// silentNodes are those, of nodes with Pods of the download, that do not
	// answer, or are not there any more.
	silentNodes map[string]bool
	// hints are the last warnings told of objects that do not come on, by
	// their UID.
	hints map[types.UID]string
}

// memory is what this process remembers of one download. To lose it costs what
// was said since the last push, and a second look at what has failed.
type memory struct {
	want  *download.Request // As ensured last, with the tokens before it; nil if it was not.
	asked time.Time         // When that began: nothing was heard before.
	// spent is the attempt up to which failures that may pass have been waited
	// for.
	spent     int
	begun     int               // The last attempt whose Job was seen or made.
	dropped   int               // The last attempt that was ended because something else was wanted.
	void      int               // The last attempt whose completeness a seeder did not find.
	checked   string            // The last VerifyToken of a complete attempt.
	served    *download.Seeding // What a seeder has satisfied; nil if it has none.
	ended     ended
	refused   *download.Failure // Why the API server did not take what was to be made,
	refusedAt time.Time         // since when,
	observed  bool              // and whether that, or the failure in ended, was observed.
	inTheWay  *download.Failure // What had to end first when a Pod was to be made; nil if nothing.

	heard   heard
	last    download.Progress // The latest snapshot of whichever Pod.
	pods    int               // Pods that ended before they were done.
	failure *download.WorkerFailure
	counted map[types.UID]int32 // Of a seeder's Pod, the restarts that are in pods.
}

// listening is since when nothing was heard.
func (m *memory) listening() time.Time {
	if m.heard.at.After(m.asked) {
		return m.heard.at
	}
	return m.asked
}

// heard is a push of the Pod that runs.
type heard struct {
	pod      types.UID
	revision string
	state    download.State
	at       time.Time
}

// ended is how an attempt came to its end. The zero value is none.
type ended struct {
	attempt  int
	request  download.Request // What it was given last,
	current  bool             // and whether it has heard of that.
	progress download.Progress
	failure  *download.Failure // nil if it did what it was there for.
	at       time.Time
	job      string
}

// verdict is what is to be done about a download, in this order, and what is to
// be shown of it.
type verdict struct {
	remove []client.Object // Jobs, the StatefulSet, the Service.
	write  *order          // What the Secret has to say.
	expose string          // Type of the Service to be made, "" for none.
	begin  bool            // The Job of write is made, once nothing is in the way.
	seed   bool            // The same of the StatefulSet.
	again  time.Duration

	show *download.Progress // nil if nothing is known.
}

// situation is all that a decision may look at.
type situation struct {
	now time.Time
	id  download.ID
	m   memory
	o   *objects

	endpoint string
	ca       []byte
	release  string // Of what this operator makes its Pods.
}

// decide says what happens next to a download, and what is remembered of it
// from then on. It does nothing.
func decide(s situation) (memory, verdict) {
	s.learn()
	v := verdict{}
	if s.m.want == nil {
		v.show = s.unasked()
		return s.m, v
	}
	s.endOutlived(&v)
	switch {
	case s.job() != nil:
		s.keep(&v)
	case s.m.want.ResolveOnly && s.resolved(), s.done() && !s.seedingWanted():
		s.rest(&v)
	case s.done():
		s.seed(&v)
	default:
		s.fetch(&v)
	}
	v.show = s.dressed(v.show)
	return s.m, v
}

// learn takes in how attempts have ended since the last time.
func (s *situation) learn() {
	m := &s.m
	found := m.begun == m.ended.attempt || m.begun <= m.dropped
	for _, j := range s.o.jobs {
		attempt := attemptOf(j)
		m.begun = max(m.begun, attempt)
		found = found || attempt == m.begun
		if attempt > m.ended.attempt && attempt > m.dropped {
			if e, over := s.endOf(j); over {
				s.take(e)
			}
		}
	}
	if !found {
		s.take(ended{attempt: m.begun, at: s.now, current: true, progress: m.last, failure: download.Fail(download.ReasonWorkerFailed,
			"Job %s was deleted before it was done; the next one goes on with what is on the volume", jobName(s.id, m.begun))})
	}
	s.learnOfSeeder()
}

// take takes in how an attempt has ended.
func (s *situation) take(e ended) {
	if g := s.o.order; g != nil && g.attempt == e.attempt {
		e.request = g.request
	}
	e.job = jobName(s.id, e.attempt)
	s.m.ended = e
	// After a restart of the operator, a seeder may have told of itself before.
	if p := s.running(); p == nil || p.UID != s.m.heard.pod {
		s.m.last = e.progress
	}
	if f := e.failure; f != nil {
		s.m.pods++
		if s.m.failure == nil || !s.m.failure.At.Equal(e.at) {
			s.m.failure = &download.WorkerFailure{Reason: f.Reason, Message: f.Message, At: e.at}
		}
	} else if e.current && e.progress.State == download.StateComplete {
		s.m.checked = e.request.VerifyToken
	}
}

// learnOfSeeder takes in what has become of the seeder: that it has served
// enough, that it did not find what it was to serve, or that it was begun again.
func (s *situation) learnOfSeeder() {
	g, p := s.o.order, s.seederPod()
	if g == nil || g.task != report.Seed || p == nil || g.attempt <= s.m.void {
		return
	}
	if s.m.heard.pod == p.UID {
		switch s.m.heard.state {
		case download.StateComplete:
			if s.m.heard.revision == g.revision() {
				served := g.request.Seeding
				s.m.served = &served
			}
		case download.StateDownloading, download.StateStalled:
			s.m.void = g.attempt
			return
		}
	}
	end, restarts := lastEnd(p)
	if end == nil || restarts <= s.m.counted[p.UID] {
		return
	}
	s.m.pods += int(restarts - s.m.counted[p.UID])
	s.m.counted = map[types.UID]int32{p.UID: restarts}
	e := s.endOfContainer(p, end)
	if end.ExitCode == report.ExitFailed && e.failure != nil && e.failure.Reason != download.ReasonWorkerFailed {
		e.attempt, e.request, e.current = g.attempt, g.request, true
		s.m.ended, s.m.void = e, g.attempt
	}
}

// job is the Job that has not ended, nil if there is none.
func (s *situation) job() *batchv1.Job {
	for _, j := range s.o.jobs {
		if a := attemptOf(j); a == s.m.begun && a > s.m.ended.attempt && a > s.m.dropped {
			return j
		}
	}
	return nil
}

// podOf is the youngest Pod of an object, nil if there is none.
func (s *situation) podOf(owner interface{ GetUID() types.UID }) *corev1.Pod {
	var out *corev1.Pod
	for _, p := range s.o.pods {
		for _, ref := range p.OwnerReferences {
			if ref.UID == owner.GetUID() && (out == nil || out.CreationTimestamp.Before(&p.CreationTimestamp)) {
				out = p
			}
		}
	}
	return out
}

func (s *situation) seederPod() *corev1.Pod {
	if s.o.seeder == nil {
		return nil
	}
	return s.podOf(s.o.seeder)
}

// running is a Pod of which something may run; nil if there is none.
func (s *situation) running() *corev1.Pod {
	for _, p := range s.o.pods {
		if !terminal(p) {
			return p
		}
	}
	return nil
}

// resolved says that the metadata that is wanted is known.
func (s *situation) resolved() bool {
	e := &s.m.ended
	return e.attempt > 0 && e.failure == nil && fits(&e.request, s.m.want, e.progress.InfoHash)
}

// done says that what is wanted is complete: because an attempt has ended so,
// or because a seeder was begun after one.
func (s *situation) done() bool {
	w, e, g := s.m.want, &s.m.ended, s.o.order
	if w.ResolveOnly || w.VerifyToken != "" && w.VerifyToken != s.m.checked {
		return false
	}
	if g != nil && g.task == report.Seed && g.attempt >= e.attempt {
		return g.attempt > s.m.void && g.request.Files.Selection() == w.Files.Selection() && fits(&g.request, w, s.m.last.InfoHash)
	}
	return e.attempt > s.m.void && e.failure == nil && e.progress.State == download.StateComplete &&
		e.progress.Selection == w.Files.Selection() && fits(&e.request, w, e.progress.InfoHash)
}

// seedingWanted says that a complete download has something to serve.
func (s *situation) seedingWanted() bool {
	return seeds(s.m.want) && (s.m.served == nil || *s.m.served != s.m.want.Seeding)
}

// held says that the last attempt failed, and that nothing speaks for another
// one yet.
func (s *situation) held() bool {
	e := &s.m.ended
	return e.failure != nil && e.current && asks(&e.request, s.m.want, e.progress.InfoHash) &&
		(s.m.want.VerifyToken == "" || s.m.want.VerifyToken == e.request.VerifyToken) &&
		(e.failure.Permanent || e.attempt > s.m.spent)
}
