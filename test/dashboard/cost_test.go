//go:build browser

package dashboard

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// TestWhatAHundredDashboardsCost tells how much processor time and memory the
// dashboard and the API server take for lists that are open, while downloads
// report progress. It asserts nothing, and runs only when it is asked for.
func TestWhatAHundredDashboardsCost(t *testing.T) {
	if !*measure {
		return
	}
	const downloads, pages, writes, span = 1000, 100, 20, 30 * time.Second
	w := newWorld(t)
	var all []*v1alpha1.TorrentDownload
	for i := range downloads {
		s := standing{name: fmt.Sprintf("data-%04d", i), reason: "Downloading", text: "Fetching pieces.", pieces: 1000, there: 500, down: 1 << 20, peers: 9}
		w.stand(s)
		all = append(all, w.download(s.name))
	}
	many := make([]string, pages)
	same := make([]string, pages)
	for i := range many {
		many[i], same[i] = w.guest(fmt.Sprintf("guest-%d", i)), tokens[viewer]
	}
	apiServer := find(t, "kube-apiserver", plane.LogDir)
	for _, c := range []struct {
		what   string
		tokens []string
	}{{"nobody", nil}, {"one person with 100 pages", same}, {"100 people with a page each", many}} {
		w.measure(c.what, c.tokens, all, apiServer, writes, span)
	}
}

// guest makes somebody who may look, and returns their token.
func (w *world) guest(name string) string {
	w.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	if err := admin.Create(w.Context(), account); err != nil {
		w.Fatal(err)
	}
	for _, args := range [][]string{
		{"create", "clusterrolebinding", w.ns + name, "--clusterrole=torrent-operator-viewer", "--serviceaccount=" + w.ns + ":" + name},
		{"create", "token", name, "--namespace=" + w.ns},
	} {
		out, err := plane.Kubectl(w.Context(), args...)
		if err != nil {
			w.Fatal(err)
		}
		name = strings.TrimSpace(out)
	}
	return name
}

// measure opens a list for each token, has downloads report progress for a
// while, and tells what that took.
func (w *world) measure(what string, tokens []string, all []*v1alpha1.TorrentDownload, apiServer int, perSecond int, span time.Duration) {
	at := startDashboard(w.T)
	process := find(w.T, "torrent-operator", "\x00dashboard\x00")
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	var received, loaded atomic.Int64
	for _, token := range tokens {
		go listen(ctx, at, token, w.ns, &received, &loaded)
	}
	await(w.T, "all lists are there", func() bool { return loaded.Load() == int64(len(tokens)) })
	before, beforeAPI, bytes := seconds(w.T, process), seconds(w.T, apiServer), received.Load()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	n := 0
	for start := time.Now(); time.Since(start) < span; n++ {
		<-tick.C
		td := all[n%len(all)]
		td.Status.Progress.BytesVerified += 4 << 20
		td.Status.Progress.DownloadBytesPerSecond++
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"progress":{"bytesVerified":%d,"downloadBytesPerSecond":%d}}}`,
			td.Status.Progress.BytesVerified, td.Status.Progress.DownloadBytesPerSecond))
		if err := admin.Status().Patch(ctx, td.DeepCopy(), patch); err != nil {
			w.Fatal(err)
		}
	}
	w.Logf("%s: %d writes; dashboard %.2f s of processor time and %d MiB, API server %.2f s, %d KiB sent to browsers",
		what, n, seconds(w.T, process)-before, resident(w.T, process)>>20, seconds(w.T, apiServer)-beforeAPI, (received.Load()-bytes)>>10)
}

// listen follows a list as a browser does.
func listen(ctx context.Context, at, token, namespace string, received, loaded *atomic.Int64) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/stream?namespace="+namespace, http.NoBody)
	if err != nil {
		return
	}
	r.Header.Set("Cookie", "__Host-torrent-token="+token)
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	if err != nil {
		return
	}
	defer response.Body.Close()
	buffer := make([]byte, 64<<10)
	seen := ""
	for there := false; ; {
		n, err := response.Body.Read(buffer)
		received.Add(int64(n))
		if !there {
			seen += string(buffer[:n])
			if there = strings.Contains(seen, "event: loaded"); there {
				loaded.Add(1)
			}
		}
		if err != nil {
			return
		}
	}
}

// find returns the process of a program whose command line has a word.
func find(t *testing.T, program, word string) int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		b, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(strings.SplitN(string(b), "\x00", 2)[0], "/"+program) && strings.Contains(string(b), word) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				return pid
			}
		}
	}
	t.Fatalf("there is no %s", program)
	return 0
}

// seconds is the processor time of a process so far (proc(5), stat: in ticks of
// a hundredth of a second).
func seconds(t *testing.T, pid int) float64 {
	t.Helper()
	fields := strings.Fields(stat(t, pid, "stat"))
	user, err := strconv.ParseFloat(fields[13], 64)
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.ParseFloat(fields[14], 64)
	if err != nil {
		t.Fatal(err)
	}
	return (user + system) / 100
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	n, err := strconv.Atoi(strings.Fields(stat(t, pid, "statm"))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize()
}

func stat(t *testing.T, pid int, name string) string {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
