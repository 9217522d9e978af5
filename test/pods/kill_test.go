//go:build e2e

package pods

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// TestAWorkerKilledTwentyTimesEndsWithTheRightBytes kills each worker soon after
// it has begun to download, as kill -9 does, and looks at when each of them ran, and at how
// much was fetched in all.
func TestAWorkerKilledTwentyTimesEndsWithTheRightBytes(t *testing.T) {
	needOwn(t)
	const (
		kills = 20
		size  = 16 << 20
		// enough is more than it takes to fetch everything once, with what is
		// on the wire besides, and for each worker that is killed what it has
		// asked for and not yet written. If what was written were fetched
		// again, it would be about half of the size more.
		enough = size*11/10 + kills*(128<<10)
	)
	w := newWorld(t)
	album := w.torrent("album", size)
	td := w.slowly(album, "256Ki")
	w.create(w.claim("data", "64Mi"), td)
	seeder := w.pod("seeder")
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(seeder), seeder); err != nil {
		t.Fatal(err)
	}
	before := sentBy(t, seeder.UID, "download")
	sent := before
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
		// One that gets no further than the last one would have to wait longer and longer.
		if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
			return sentBy(t, seeder.UID, "download") > sent+size/40, nil
		}); err != nil {
			t.Fatalf("Pod %s gets nothing from the seeder: %v", name, err)
		}
		kill(t, pod.UID, "worker")
		sent = sentBy(t, seeder.UID, "download")
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
	sent = sentBy(t, seeder.UID, "download") - before
	t.Logf("the only seeder has sent %.2f of what there is to fetch, in %d attempts", float64(sent)/size, kills+1)
	if sent < size || sent > enough {
		t.Errorf("the only seeder has sent %d bytes for %d of content, more than %d", sent, size, enough)
	}
}

// kill ends a process of a Pod as kill -9 does.
func kill(t *testing.T, pod types.UID, command string) {
	t.Helper()
	process, err := os.FindProcess(processOf(t, pod, command))
	if err == nil {
		err = process.Kill()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// processOf finds the process of a Pod that runs a command of the operator's
// program, by its control group, and returns its id on this machine.
func processOf(t *testing.T, pod types.UID, command string) int {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		group, _ := os.ReadFile(filepath.Join(p, "cgroup")) // It may have ended meanwhile.
		line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		args := strings.Split(string(line), "\x00")
		if !bytes.Contains(group, []byte(pod)) || len(args) < 2 || args[1] != command {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(p))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	t.Fatalf("no process of Pod %s runs %q", pod, command)
	return 0
}

// sentBy is how many bytes a Pod has sent in all, with the headers of each
// packet, counted where it is connected.
func sentBy(t *testing.T, pod types.UID, command string) int64 {
	t.Helper()
	counters, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", processOf(t, pod, command)))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(counters)) {
		device, numbers, _ := strings.Cut(line, ":")
		if strings.TrimSpace(device) != "eth0" {
			continue
		}
		// Eight numbers of what came, and then the bytes of what went.
		if fields := strings.Fields(numbers); len(fields) > 8 {
			sent, err := strconv.ParseInt(fields[8], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return sent
		}
	}
	t.Fatalf("Pod %s has no device eth0:\n%s", pod, counters)
	return 0
}
