//go:build e2e

package pods

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// TestAWorkerKilledTwentyTimesEndsWithTheRightBytes kills each worker as soon as
// it downloads, as kill -9 does, and looks at when each of them ran.
func TestAWorkerKilledTwentyTimesEndsWithTheRightBytes(t *testing.T) {
	needOwn(t)
	const kills = 20
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "256Ki")
	w.create(w.claim("data", "64Mi"), td)
	var last time.Time
	killed := map[string]bool{}
	for range kills {
		td = await(w, td, "downloading in a new Pod", func(td *v1alpha1.TorrentDownload) bool {
			pod := td.Status.Worker.PodName
			return because(v1alpha1.ReasonDownloading)(td) && pod != "" && !killed[pod]
		})
		name := td.Status.Worker.PodName
		killed[name] = true
		pod := w.pod(name)
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			t.Fatal(err)
		}
		kill(t, pod.UID)
		pod = await(w, pod, "at its end", func(p *corev1.Pod) bool {
			return p.Status.Phase == corev1.PodFailed && p.Status.ContainerStatuses[0].State.Terminated != nil
		})
		ran := pod.Status.ContainerStatuses[0].State.Terminated
		if ran.ExitCode != 128+9 {
			t.Errorf("Pod %s ended with %d, and was killed", name, ran.ExitCode)
		}
		if ran.StartedAt.Time.Before(last) {
			t.Errorf("Pod %s began at %v, when another one ran until %v", name, ran.StartedAt, last)
		}
		last = ran.FinishedAt.Time
	}
	w.change(td, unlimited)
	td = await(w, td, "complete", is(v1alpha1.ConditionReady))
	if td.Status.Worker.Restarts != kills {
		t.Errorf("the status tells of %d restarts, and there were %d", td.Status.Worker.Restarts, kills)
	}
	w.mustHold("data", "album", album)
}

// kill ends the worker of a Pod as kill -9 does. It finds it by its control
// group.
func kill(t *testing.T, pod types.UID) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		group, _ := os.ReadFile(filepath.Join(p, "cgroup")) // It may have ended meanwhile.
		command, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		if !bytes.Contains(group, []byte(pod)) || !bytes.HasSuffix(command, []byte("\x00worker\x00")) {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(p))
		if err != nil {
			t.Fatal(err)
		}
		process, err := os.FindProcess(id)
		if err == nil {
			err = process.Kill()
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no process of Pod %s is a worker", pod)
}
