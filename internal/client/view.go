package client

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/termui"
)

// Mood is how a download stands, for a colour or a picture.
type Mood string

// The moods.
const (
	MoodWorking Mood = "Working" // It goes on by itself.
	MoodStuck   Mood = "Stuck"   // It needs a person, or has long had no byte.
	MoodDone    Mood = "Done"    // Complete and durable.
	MoodResting Mood = "Resting" // Suspended before it was complete.
)

// View is how a download stands, ready to be shown. Text in it may be that of
// strangers: whoever shows it makes it fit for where it is shown.
type View struct {
	// State is one word: Stalled, Seeding, Suspended, Deleting, or the reason
	// of Ready, such as Downloading, Checking or Complete.
	State string
	// Reason is why, where State does not say it: ClaimNotFound of a Stalled
	// one. Message is what a person can know or do; both may be "".
	Reason, Message string
	Mood            Mood

	Percent     int   // 100 only if complete.
	Done, Total int64 // Bytes verified and wanted; Total 0 is not known yet.
	Down, Up    int64 // Bytes a second.
	Uploaded    int64 // Bytes sent in all.
	// ETA is what is left of the time, termui.Unknown if that can't be told.
	ETA                    time.Duration
	Connected, Seeds, Seen int // Peers; Seen are all whose address is known.

	Pieces     Pieces
	Conditions []metav1.Condition // The ones that matter most first.
}

// conditionOrder is that in which a person reads conditions.
var conditionOrder = []string{
	v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling, v1alpha1.ConditionMetadataResolved,
	v1alpha1.ConditionVolumeReady, v1alpha1.ConditionComplete, v1alpha1.ConditionSeeding,
}

// Describe tells how a download stands, by its status.
func Describe(td *v1alpha1.TorrentDownload) View {
	v := View{ETA: termui.Unknown, Conditions: slices.Clone(td.Status.Conditions)}
	slices.SortStableFunc(v.Conditions, func(a, b metav1.Condition) int {
		if x, y := place(a.Type), place(b.Type); x != y {
			return x - y
		}
		return strings.Compare(a.Type, b.Type)
	})
	v.stand(td)
	if p := td.Status.Progress; p != nil {
		v.Percent, v.Done, v.Total = int(p.Percent), p.BytesVerified, p.BytesTotal
		v.Down, v.Up, v.Uploaded = p.DownloadBytesPerSecond, p.UploadBytesPerSecond, p.BytesUploaded
		switch {
		case p.ETASeconds > 0:
			v.ETA = time.Duration(p.ETASeconds) * time.Second
		case p.Percent == 100:
			v.ETA = 0
		}
	}
	if p := td.Status.Peers; p != nil {
		v.Connected, v.Seeds, v.Seen = int(p.Connected), int(p.Seeds), int(p.Known)
	}
	if p := td.Status.Pieces; p != nil {
		v.Pieces = readPieces(p)
	}
	return v
}

func place(condition string) int {
	if i := slices.Index(conditionOrder, condition); i >= 0 {
		return i
	}
	return len(conditionOrder)
}

// stand fills in what the conditions say.
func (v *View) stand(td *v1alpha1.TorrentDownload) {
	v.State, v.Mood = v1alpha1.ReasonPending, MoodWorking
	ready := meta.FindStatusCondition(td.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		v.Message = "The operator has not seen it yet. If it stays so, look whether the operator runs."
		return
	}
	v.State, v.Message = ready.Reason, ready.Message
	switch {
	case td.DeletionTimestamp != nil:
		v.State = v1alpha1.ReasonDeleting
		if ready.Reason != v.State {
			v.Reason = ready.Reason
		}
	case ready.Status == metav1.ConditionTrue:
		v.Mood = MoodDone
		if meta.IsStatusConditionTrue(td.Status.Conditions, v1alpha1.ConditionSeeding) {
			v.State = v1alpha1.ReasonSeeding
		}
	case meta.IsStatusConditionTrue(td.Status.Conditions, v1alpha1.ConditionStalled):
		v.State, v.Reason, v.Mood = v1alpha1.ConditionStalled, ready.Reason, MoodStuck
	case ready.Reason == v1alpha1.ReasonSuspended:
		v.Mood = MoodResting
	}
}

// Closer returns the view with the numbers of a close look in the place of
// those of the status.
func (v View) Closer(d *download.Detail) View {
	p := &d.Progress
	if p.BytesTotal > 0 {
		v.Percent, v.Done, v.Total = termui.Percent(p.BytesVerified, p.BytesTotal), p.BytesVerified, p.BytesTotal
		if v.Mood != MoodDone { // Verified is not durable yet.
			v.Percent = min(v.Percent, 99)
		}
		v.Pieces = exactPieces(d)
	}
	v.Down, v.Up, v.Uploaded = p.DownloadBytesPerSecond, p.UploadBytesPerSecond, p.BytesUploaded
	v.ETA = termui.ETA(p.BytesTotal-p.BytesVerified, p.DownloadBytesPerSecond)
	v.Connected, v.Seeds, v.Seen = p.Peers.Connected, p.Peers.Seeds, p.Peers.Known
	return v
}
