package lifecycle

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestRequestsTellAClaimFromOneThatWasMadeAgain(t *testing.T) {
	w := fresh(t)
	w.in.Claim.UID = "first"
	w.downloading()
	if got := w.decide().Run.Volume; got != (download.Volume{ClaimName: "datasets", ClaimUID: "first", Path: "imagenet"}) {
		t.Errorf("%+v", got)
	}
	w.in.Claim.UID = "second"
	if got := w.decide().Run.Volume.ClaimUID; got != "second" {
		t.Errorf("the claim is %q", got)
	}
}
