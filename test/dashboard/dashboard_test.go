//go:build browser

package dashboard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// cellsOf counts the cells of the piece map by what colour they are painted in.
const cellsOf = `(() => {
  const canvas = document.querySelector(".map canvas");
  const style = getComputedStyle(document.documentElement);
  const colours = {};
  for (const name of ["missing", "busy", "part", "have"]) {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = style.getPropertyValue("--" + name).trim();
    probe.fillRect(0, 0, 1, 1);
    colours[probe.getImageData(0, 0, 1, 1).data.slice(0, 3).join()] = name;
  }
  const context = canvas.getContext("2d");
  const size = Math.round(18 * devicePixelRatio);
  const columns = Math.floor(canvas.width / size);
  const out = { missing: 0, busy: 0, part: 0, have: 0, other: 0 };
  for (let i = 0; i < COUNT; i++) {
    const x = (i % columns) * size + size / 2, y = Math.floor(i / columns) * size + size / 2;
    out[colours[context.getImageData(x, y, 1, 1).data.slice(0, 3).join()] ?? "other"]++;
  }
  return out;
})()`

// painted is what cellsOf returns.
type painted struct{ Missing, Busy, Part, Have, Other int }

func (b *tab) painted(pieces int) painted {
	b.Helper()
	return eval[painted](b, strings.ReplaceAll(cellsOf, "COUNT", fmt.Sprint(pieces)))
}

func TestADownloadFromDroppingAFileToItsEnd(t *testing.T) {
	const pieces = 200
	w := newWorld(t)
	startOperator(t, w.volumes)
	// As long as nobody has more than half, that much is there to be seen.
	recordings := publish(t, "field-recordings", pieces)
	recordings.serve(t, pieces/2)
	b := browse(t, startDashboard(t))
	b.signIn(editor)
	b.open("/add?namespace=" + w.ns)
	b.run(chromedp.SetUploadFiles("#file", []string{recordings.file}, chromedp.ByQuery))
	b.reads(".drop [data-f=told]", "field-recordings.torrent")
	b.fill("#claim", "datasets")
	b.fill("#path", "audio/2024")
	b.picture("dashboard-add")
	b.submit("main form .primary")
	b.reads("h1", "field-recordings")
	b.reads("[data-f=state]", "Downloading")

	// The map shows what is there, piece by piece.
	half := func() bool { return b.painted(pieces).Have == pieces/2 }
	if err := awaitIn(t.Context(), "half of the pieces are painted as there", half); err != nil {
		b.picture("failed")
		td := w.download("field-recordings")
		t.Fatalf("%v: painted are %+v, the page reads %q, the status has %+v and %+v, the conditions are %+v",
			err, b.painted(pieces), b.text("[data-f=pieces]"), td.Status.Pieces, td.Status.Peers, td.Status.Conditions)
	}
	if p := b.painted(pieces); p.Other > 0 || p.Have+p.Missing+p.Busy != pieces {
		t.Errorf("of %d pieces the map shows %+v", pieces, p)
	}
	b.picture("dashboard-download")
	b.scheme("dark")
	b.picture("dashboard-download-dark")
	b.scheme("light")

	// Limits are read as they are written.
	b.run(clickOn("details.menu summary"))
	b.fill("#limit-down", "fast")
	b.submit(".menu form .primary")
	b.reads("[role=alert]", "no number of bytes")
	b.run(clickOn("details.menu summary"))
	b.fill("#limit-down", "100Mi")
	b.submit(".menu form .primary")
	if q := w.download("field-recordings").Spec.Limits.DownloadBytesPerSecond; q == nil || q.String() != "100Mi" {
		t.Errorf("the limit is %v", q)
	}

	// Pausing: the object is suspended, and the page says so by itself.
	b.submit("[data-do=suspend] button")
	b.reads("[data-f=state]", "Paused")
	if td := w.download("field-recordings"); td.Spec.Suspend == nil || !*td.Spec.Suspend {
		t.Error("the button does not suspend the download")
	}
	recordings.serve(t, pieces)
	b.submit("[data-do=resume] button")
	b.reads("[data-f=state]", "Complete")
	b.reads("[data-f=percent]", "100%")
	await(t, "all pieces are painted as there", func() bool { return b.painted(pieces).Have == pieces })
	if td := w.download("field-recordings"); td.Spec.Volume.Path != "audio/2024" || td.Spec.Volume.ClaimName != "datasets" {
		t.Errorf("it went to %+v", td.Spec.Volume)
	}

	// Deleting, with the data.
	b.run(chromedp.Click("details.menu:last-of-type summary", chromedp.ByQuery), chromedp.Click("#erase", chromedp.ByQuery))
	b.submit("button.danger")
	b.reads(".empty", "No downloads")
	await(t, "the download is gone", func() bool {
		err := admin.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "field-recordings"}, &v1alpha1.TorrentDownload{})
		return apierrors.IsNotFound(err)
	})
}

func TestADownloadFromAMagnetLinkToItsEnd(t *testing.T) {
	w := newWorld(t)
	startOperator(t, w.volumes)
	survey := publish(t, "survey", 50)
	survey.serve(t, 50)
	b := browse(t, startDashboard(t))
	b.signIn(editor)
	b.open("/add?namespace=" + w.ns)
	b.fill("#link", "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567")
	b.fill("#name", "by-link")
	b.fill("#claim", "missing")
	b.submit("main form .primary")
	b.reads("[data-f=state]", "Claim not found")
	b.reads(".why", "missing") // The message, in place.
	b.open("/add?namespace=" + w.ns)
	b.fill("#link", survey.meta.Magnet().String())
	b.fill("#name", "by-link")
	b.fill("#claim", "datasets")
	b.submit("main form .primary")
	b.reads("[role=alert]", "by-link") // The name is taken, and nothing that was filled in is gone.
	if got := eval[string](b, `document.querySelector("#claim").value`); got != "datasets" {
		t.Errorf("after an error the form has the claim %q", got)
	}
	b.fill("#name", "by-link-again")
	b.submit("main form .primary")
	b.reads("[data-f=state]", "Complete")
	b.reads("[data-f=pieces]", "50 of 50")
	b.open("/?namespace=" + w.ns)
	b.reads(".tbody", "by-link-again")
	b.reads(".tbody", "Claim not found")
}

func TestWhoMayOnlyLookSeesEverythingAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.resting("field-recordings")
	b := browse(t, startDashboard(t))
	b.signIn(viewer)
	b.open("/downloads/" + w.ns + "/field-recordings")
	b.reads("h1", "field-recordings")
	b.reads(".notice", "not change it")
	if n := eval[int](b, `document.querySelectorAll(".lead button:enabled").length`); n != 0 {
		t.Errorf("%d buttons can be pressed", n)
	}
	// Whoever presses them all the same is told by the API server's answer.
	b.run(chromedp.Evaluate(`document.querySelector("[data-do=suspend] button").disabled = false`, nil))
	b.submit("[data-do=suspend] button")
	b.reads("[role=alert]", "You may not")
	b.open("/add?namespace=" + w.ns)
	b.reads("[role=alert]", "You may not add downloads")
}

func TestWhoMayNothingIsToldWhatToAskFor(t *testing.T) {
	w := newWorld(t)
	w.resting("field-recordings")
	b := browse(t, startDashboard(t))
	b.signIn(stranger)
	b.reads("h1", "You may not list and watch the downloads of all namespaces")
	b.reads("main", "torrent-operator-viewer")
	b.fill("#namespace", w.ns)
	b.submit("main form button")
	b.reads("h1", "of namespace "+w.ns)
	b.open("/downloads/" + w.ns + "/field-recordings")
	b.reads("h1", "You may not see this download")
	b.fillToken("expired")
	b.reads("[role=alert]", "does not take this token")
}

// fillToken tries to sign in with a token.
func (b *tab) fillToken(token string) {
	b.Helper()
	b.open("/login")
	b.fill("#token", token)
	b.submit("main form button")
}
