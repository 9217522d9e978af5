package e2e

import (
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// leads says whether an operator has taken the Lease.
func (o *operator) leads() bool {
	return strings.Contains(o.logged(), "Successfully acquired lease")
}

// TestAnotherReplicaGoesOnWhereTheLeaderWasKilled has two operators of which
// one works at a time, and kills that one with -9.
func TestAnotherReplicaGoesOnWhereTheLeaderWasKilled(t *testing.T) {
	w := newWorld(t)
	flags := []string{"--leader-elect", "--namespace=" + system}
	first := startOperator(t, w.volumes, flags...)
	first.await("it leads", first.leads)
	second := startOperator(t, w.volumes, flags...)
	o := newTorrent(t, "led", 16<<20)
	s := newSeeder(t, o, 1<<20)
	w.download("led", o.file, from(s.address()))
	before := w.halfway("led")
	if second.leads() {
		t.Fatal("both lead")
	}
	first.kill()
	s.alone()
	s.seal(journaled(t, o, w.folder("led")))
	s.limit.SetLimit(8 << 20)
	if td := w.get("led"); condition(td, v1alpha1.ConditionReady) != "False Downloading" || td.Status.Progress.BytesVerified < before.Status.Progress.BytesVerified {
		t.Errorf("without a leader the status became %+v", td.Status)
	}
	second.await("it leads", second.leads)
	w.completes("led")
	o.compare(t, w.folder("led"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		t.Errorf("the second leader fetched what the first had written: %v", s.wrong)
	}
	w.toldOnce("led", "Resolved", "Downloading", "Complete")
}
