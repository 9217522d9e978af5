package e2e

import (
	"os"
	"testing"

	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// TestFromAMagnetLinkToVerifiedBytes has only the link and the address of a
// seeder: first nobody is there and the status says so, then the seeder comes.
// An object that is deleted with its data leaves nothing, although the operator
// was restarted and has no .torrent file.
func TestFromAMagnetLinkToVerifiedBytes(t *testing.T) {
	w := newWorld(t)
	op := startOperator(t, w.volumes)
	o := newTorrent(t, "linked", 3<<20)
	at := freeAddress(t)
	w.download("linked", nil, func(td *v1alpha1.TorrentDownload) {
		timeout := int32(1)
		td.Spec.Source = v1alpha1.Source{Magnet: o.meta.Magnet().String()}
		td.Spec.Discovery.Peers = []string{at}
		td.Spec.Retry.StallTimeoutSeconds = &timeout
		td.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	})
	td := w.stands("linked", "False "+download.ReasonNoPeers, "", "True "+download.ReasonNoPeers, status.FailedStatus)
	if got := condition(td, v1alpha1.ConditionMetadataResolved); got != "False Resolving" {
		t.Errorf("MetadataResolved is %q", got)
	}
	launch(t, "download", o.save(t), "--output="+o.dir, "--seed", "--port="+port(at), "--json")
	td = w.completes("linked")
	if s := td.Status; s.InfoHash.V1 != o.meta.InfoHash.String() || s.Name != "linked" {
		t.Errorf("complete with %+v", s)
	}
	o.compare(t, w.folder("linked"))
	op.kill()
	startOperator(t, w.volumes)
	w.remove("linked") // Nothing of it runs: which files are its own is told by what was kept.
	if left, err := os.ReadDir(w.folder("linked")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
