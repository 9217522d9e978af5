package lifecycle

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// The status stays within 4 KiB whatever the API lets a tenant say: this takes
// the longest of everything.
func TestTheLargestStatusStaysWithin4KiB(t *testing.T) {
	for _, message := range []string{"long words ", "\u4e16"} {
		w := fresh(t)
		w.td.Spec.Volume.ClaimName = strings.Repeat("c", 253)
		w.td.Spec.Volume.Path = strings.TrimSuffix(strings.Repeat(strings.Repeat("p", 255)+"/", 4), "/")
		w.td.Spec.Seeding.Policy = v1alpha1.SeedingForever
		w.annotated(v1alpha1.AnnotationRetryRequestedAt, strings.Repeat("r", 300))
		w.annotated(v1alpha1.AnnotationVerifyRequestedAt, strings.Repeat("v", 300))
		w.decide()
		p := snapshot(download.StateStalled, 0)
		p.Name, p.NodeName = strings.Repeat("\u4e16", 85), strings.Repeat("h", 253)
		p.BytesTotal, p.BytesVerified, p.BytesUploaded = math.MaxInt64, math.MaxInt64/2, math.MaxInt64
		p.DownloadBytesPerSecond, p.UploadBytesPerSecond = math.MaxInt64, math.MaxInt64
		p.Pieces = download.Pieces{Length: 1 << 30, Total: 8192, Verified: 4000, InProgress: 999, Have: make([]byte, 1024)}
		p.Pieces.Have[5] = 1
		p.Worker = download.Worker{
			Owner: strings.Repeat("j", 63), Pod: strings.Repeat("p", 63), Restarts: math.MaxInt, // Names of Jobs and their Pods end there.
			LastFailure: &download.WorkerFailure{Reason: strings.Repeat("R", 64), Message: strings.Repeat(message, 1000), ExitCode: math.MaxInt, At: start},
		}
		p.Err = &download.Failure{Reason: "MetainfoUnavailable", Message: strings.Repeat(message, 1000)}
		w.sees(p).decide()
		w.td.Status.Progress.LastUpdateTime = &metav1.Time{Time: start}
		if b, err := json.Marshal(w.td.Status); err != nil || len(b) > 4096 {
			t.Errorf("messages of %q: %d bytes, %v", message, len(b), err)
		}
	}
}

func TestLongAnnotationsThatDifferAtTheirEndsAreTold(t *testing.T) {
	w := fresh(t).downloading()
	long := strings.Repeat("2026", 100)
	for _, end := range []string{"1", "2"} {
		d := w.annotated(v1alpha1.AnnotationVerifyRequestedAt, long+end).decide()
		if d.Run == nil || d.Run.VerifyToken == "" || len(d.Run.VerifyToken) > maxToken {
			t.Errorf("end %s: %+v", end, d.Run)
		}
	}
}
