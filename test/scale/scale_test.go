package main

import (
	"math"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestMetricsAreComparedBetweenTwoMoments(t *testing.T) {
	at := func(text string) *sample {
		t.Helper()
		m, err := parse(strings.NewReader("# HELP a b\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		return &sample{metrics: m}
	}
	before := at(`took_bucket{controller="a",le="1"} 10` + "\n" + `took_bucket{controller="a",le="+Inf"} 10` + "\n" + `n{kind="x"} 1`)
	after := at(`took_bucket{controller="a",le="1"} 13` + "\n" + `took_bucket{controller="a",le="5"} 14` + "\n" +
		`took_bucket{controller="a",le="+Inf"} 14` + "\n" + `took_bucket{controller="b",le="+Inf"} 9` + "\n" + `n{kind="x"} 4` + "\n" + `n{kind="y"} 2`)
	if got := grown(before, after, "n", "", "kind"); got["x"] != 3 || got["y"] != 2 || len(got) != 2 {
		t.Errorf("it has grown by %v", got)
	}
	for share, want := range map[float64]float64{0.5: 1, 0.75: 1, 0.99: 5} {
		if got := quantile(before, after, "took", `controller="a"`, share); got != want {
			t.Errorf("a share of %v takes %v at most, want %v", share, got, want)
		}
	}
	if got := quantile(before, before, "took", `controller="a"`, 0.99); !math.IsNaN(got) {
		t.Errorf("of nothing %v", got)
	}
	if r := held("x", "%.0f", math.NaN(), 5); !r.missed {
		t.Error("what was not measured meets its bar")
	}
	if _, err := parse(strings.NewReader("a b\n")); err == nil {
		t.Error("a metric that is no number is taken")
	}
}

func TestAChangeTakesUntilTheStatusShowsIt(t *testing.T) {
	ready := func(name string, status metav1.ConditionStatus, reason string) *v1alpha1.TorrentDownload {
		td := &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Name: name}}
		td.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason}}
		return td
	}
	c := newClock()
	c.begin("a", stalled)
	c.see(ready("a", metav1.ConditionFalse, v1alpha1.ReasonSuspended))
	if took := c.times(time.Hour); len(took[stalled]) != 0 {
		t.Error("another status was taken for it")
	}
	if took := c.times(-1); len(took[stalled]) != 1 || len(c.late(-1)) != 1 || len(c.late(time.Hour)) != 0 {
		t.Errorf("what has not been seen counts for nothing: %v, %v", took, c.late(-1))
	}
	c.see(ready("a", metav1.ConditionFalse, download.ReasonNoPeers))
	if took := c.times(time.Hour); len(took[stalled]) != 1 || len(c.late(-1)) != 0 {
		t.Errorf("it was seen, and %v is told", took)
	}
	c.begin("b", suspended)
	c.begin("b", completed) // Its worker was about to be told.
	c.see(ready("b", metav1.ConditionFalse, v1alpha1.ReasonSuspended))
	if took := c.times(time.Hour); len(took[suspended]) != 1 || len(c.late(-1)) != 0 {
		t.Errorf("of a suspension %v is told, and %v is waited for", took, c.late(-1))
	}
	if c.reset(); len(c.times(-1)) != 0 {
		t.Error("what was taken before a reset counts still")
	}
}
