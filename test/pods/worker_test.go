//go:build e2e

package pods

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// withMemory gives the worker of a download a limit.
func withMemory(limit string) func(*v1alpha1.TorrentDownloadSpec) {
	return func(spec *v1alpha1.TorrentDownloadSpec) {
		spec.Worker.Resources.Limits = map[corev1.ResourceName]resource.Quantity{corev1.ResourceMemory: resource.MustParse(limit)}
	}
}

// crowd has a process take the memory of a worker's container, up to its limit
// and more, until the kernel has killed somebody for it. That is the worker: a
// container is always likelier to be killed than a process of this machine. A
// limit that is merely small would not do, because a worker makes do with it.
func crowd(t *testing.T, pod types.UID) {
	t.Helper()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", processOf(t, pod, "worker")))
	if err != nil {
		t.Fatal(err)
	}
	folder := ""
	for line := range strings.Lines(string(groups)) {
		switch parts := strings.SplitN(strings.TrimSpace(line), ":", 3); {
		case len(parts) != 3:
		case parts[1] == "memory": // version 1
			folder = filepath.Join("/sys/fs/cgroup/memory", parts[2])
		case parts[0] == "0" && folder == "": // version 2
			folder = filepath.Join("/sys/fs/cgroup", parts[2])
		}
	}
	hog := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ > "$1"/cgroup.procs && exec "$2" eat 1073741824`, "sh", folder, tool)
	if err := hog.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hog.Process.Kill()
		_ = hog.Wait() // It says that it was killed.
	})
}

func TestADownloadThatRunsOutOfMemorySaysSoAndIsDoneWhenItHasMore(t *testing.T) {
	needOwn(t)
	t.Parallel()
	w := newWorld(t)
	album := w.torrent("album", 16<<20)
	td := w.slowly(album, "256Ki")
	withMemory("64Mi")(&td.Spec)
	w.create(w.claim("data", "64Mi"), td)
	before := ""
	for tries := range 2 {
		td = await(w, td, "downloading in another Pod", func(td *v1alpha1.TorrentDownload) bool {
			return because(v1alpha1.ReasonDownloading)(td) && td.Status.Worker.PodName != "" && td.Status.Worker.PodName != before
		})
		before = td.Status.Worker.PodName
		pod := w.pod(before)
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			t.Fatal(err)
		}
		crowd(t, pod.UID)
		td = await(w, td, "killed and counted", func(td *v1alpha1.TorrentDownload) bool { return int(td.Status.Worker.Restarts) == tries+1 })
		f := td.Status.Worker.LastFailure
		if f == nil || f.Reason != download.ReasonOOMKilled || f.ExitCode != 128+9 || !strings.Contains(f.Message, "limits.memory") {
			t.Fatalf("the status says of the end of the Pod %+v", f)
		}
	}
	w.change(td, func(spec *v1alpha1.TorrentDownloadSpec) {
		unlimited(spec)
		withMemory("256Mi")(spec)
	})
	w.mustComplete(td, "data", "album", album)
}
