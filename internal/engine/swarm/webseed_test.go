package swarm

import (
	"testing"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// A pipeline to a web seed grows with its rate, however fast that is, and never
// beyond its limit.
func TestAWebSeedsPipelineIsDeepEnoughForItsRate(t *testing.T) {
	for _, rate := range []int{1 << 20, localRate / 2, 2 * localRate, 32 * localRate} {
		q := webPipeline()
		now := time.Duration(0)
		perBlock := time.Duration(float64(time.Second) * block.Size / float64(rate))
		for range 20 * webDepth {
			now += perBlock
			q.received(now, now-10*time.Millisecond, block.Size, false)
			if q.depth < minDepth || q.depth > webDepth {
				t.Fatalf("at %d bytes a second the depth is %d", rate, q.depth)
			}
		}
		if want := min(rate/block.Size, webDepth); q.depth < want {
			t.Errorf("at %d bytes a second the depth is %d, and %d is needed for a second's worth", rate, q.depth, want)
		}
	}
}
