package kubectl

import (
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

func TestSeedingIsSaidInAPersonsWords(t *testing.T) {
	for _, c := range []struct {
		flags seedFlags
		want  v1alpha1.Seeding
		wrong bool
	}{
		{seedFlags{}, v1alpha1.Seeding{Policy: "None"}, false},
		{seedFlags{none: true}, v1alpha1.Seeding{Policy: "None"}, false},
		{seedFlags{forever: true}, v1alpha1.Seeding{Policy: "Forever"}, false},
		{seedFlags{ratio: 1.5}, v1alpha1.Seeding{Policy: "Ratio", RatioPercent: 150}, false},
		{seedFlags{ratio: 0.01}, v1alpha1.Seeding{Policy: "Ratio", RatioPercent: 1}, false},
		{seedFlags{ratio: 0.001}, v1alpha1.Seeding{}, true},
		{seedFlags{ratio: 10000}, v1alpha1.Seeding{Policy: "Ratio", RatioPercent: 1_000_000}, false},
		{seedFlags{ratio: 10000.1}, v1alpha1.Seeding{}, true},
		{seedFlags{ratio: -1}, v1alpha1.Seeding{}, true},
		{seedFlags{duration: 1500 * time.Millisecond}, v1alpha1.Seeding{Policy: "Duration", DurationSeconds: 2}, false},
		{seedFlags{duration: -time.Second}, v1alpha1.Seeding{}, true},
		{seedFlags{duration: 315_360_000 * time.Second}, v1alpha1.Seeding{Policy: "Duration", DurationSeconds: 315_360_000}, false},
		{seedFlags{duration: 315_360_001 * time.Second}, v1alpha1.Seeding{}, true},
	} {
		if got, err := c.flags.seeding(); got != c.want || (err != nil) != c.wrong {
			t.Errorf("%+v is %+v, %v", c.flags, got, err)
		}
	}
}

func TestARateIsWrittenAsInKubernetes(t *testing.T) {
	for text, fine := range map[string]bool{"10Mi": true, "500k": true, "0": true, "-1": false, "10MB": false, "": false, "fast": false} {
		var r rate
		if err := r.Set(text); (err == nil) != fine {
			t.Errorf("%q: %v", text, err)
		}
	}
}
