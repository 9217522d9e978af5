package podexec

import (
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// told is what the Pod that runs has pushed last, and for how long that holds.
// A download that is complete and has to be seeded is not at rest.
func (s *situation) told(p *corev1.Pod) (*download.Progress, time.Duration) {
	if s.m.last.State == download.StateComplete && s.seedingWanted() && !s.m.want.ResolveOnly {
		return s.settling(opening()), silence
	}
	out, quiet := s.m.last, since(s.now, s.m.heard.at)
	if quiet <= silence {
		return &out, silence - quiet + time.Second
	}
	out.DownloadBytesPerSecond, out.UploadBytesPerSecond = 0, 0
	out.Err = download.Fail(download.ReasonWorkerSilent, "Pod %s on node %s has not reported to %s since %s. It goes on without that, but check that no NetworkPolicy keeps it from the operator, and see its log",
		p.Name, p.Spec.NodeName, s.endpoint, s.m.heard.at.UTC().Format(time.RFC3339))
	return &out, recheck
}

// serving is what a seeder has pushed. While it opens what it is to serve, the
// download is as complete as before.
func (s *situation) serving(p *download.Progress) {
	switch p.State {
	case download.StateResolving, download.StateWaiting, download.StateChecking, download.StateFinishing:
		p.State = download.StateSeeding
		if p.Err == nil {
			p.Err = opening()
		}
	}
}

// waiting is a download of which nothing runs yet, and why. What was known of
// the torrent stays.
func (s *situation) waiting(why *download.Failure) *download.Progress {
	p := s.still()
	p.State, p.Err = download.StateWaiting, why
	return p
}

// settling is a complete download whose seeder has not told anything, and why.
func (s *situation) settling(why *download.Failure) *download.Progress {
	return s.at(download.StateSeeding, why)
}

func opening() *download.Failure {
	return download.Fail(download.ReasonWorkerPending, "The seeder is being started")
}

// at is what is known of a complete download. After a restart of the operator
// that is no more than that it is.
func (s *situation) at(state download.State, why *download.Failure) *download.Progress {
	p := s.m.last
	p.State, p.Err = state, why
	if p.InfoHash == "" {
		p.Selection = s.m.want.Files.Selection()
	}
	idle(&p)
	return &p
}

// failed is a download of which nothing runs, and why.
func (s *situation) failed(why *download.Failure, at time.Time) *download.Progress {
	p := s.still()
	p.State, p.Err, p.At = download.StateFailed, why, at
	return p
}

// still is what is known of a download of which nothing moves. Its Selection
// is that of what is wanted unless bytes were counted of another.
func (s *situation) still() *download.Progress {
	p := s.m.last
	idle(&p)
	if w := s.m.want; w != nil && p.Selection != w.Files.Selection() {
		p = download.Progress{
			InfoHash: p.InfoHash, Name: p.Name, Selection: w.Files.Selection(), BytesUploaded: max(p.BytesUploaded, w.BytesUploaded),
		}
	}
	return &p
}

// idle takes back what is true only of a download that runs.
func idle(p *download.Progress) {
	p.DownloadBytesPerSecond, p.UploadBytesPerSecond = 0, 0
	p.Pieces.InProgress, p.Checked = 0, 0
	p.Peers, p.Trackers, p.WebSeeds = download.Peers{}, nil, nil
	p.Address, p.NodeName, p.Worker = "", "", download.Worker{}
}

// dressed adds to a snapshot which Pod it is about.
func (s *situation) dressed(p *download.Progress) *download.Progress {
	if p == nil {
		return nil
	}
	if p.At.IsZero() {
		p.At = s.now
	}
	p.Address, p.NodeName = "", ""
	p.Worker = download.Worker{Restarts: s.m.pods, LastFailure: s.m.failure}
	pod := s.running()
	switch {
	case pod != nil:
		p.Worker.Pod, p.NodeName = pod.Name, pod.Spec.NodeName
		p.Address = address(pod)
		if j := s.job(); j != nil {
			p.Worker.Owner = j.Name
		} else if s.o.seeder != nil {
			p.Worker.Owner = s.o.seeder.Name
		} else if ref := metav1.GetControllerOf(pod); ref != nil {
			p.Worker.Owner = ref.Name
		}
	case s.o.seeder != nil:
		p.Worker.Owner = s.o.seeder.Name
	case s.m.begun > 0:
		p.Worker.Owner = jobName(s.id, s.m.begun)
	}
	return p
}

// address is where peers in the cluster reach a worker, "" while it has none.
func address(p *corev1.Pod) string {
	if p.Status.PodIP == "" || p.Status.Phase != corev1.PodRunning {
		return ""
	}
	for i := range p.Spec.Containers {
		for _, port := range p.Spec.Containers[i].Ports {
			if port.Name == portName {
				return net.JoinHostPort(p.Status.PodIP, strconv.Itoa(int(port.ContainerPort)))
			}
		}
	}
	return ""
}
