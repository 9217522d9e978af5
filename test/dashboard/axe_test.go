//go:build browser

package dashboard

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// axe is the package that looks for what keeps people out of a page, with the
// checksum that npm has of it.
const (
	axe          = "axe-core@4.14.1"
	axeIntegrity = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// needAxe returns the script, which npm fetches once for this machine.
func needAxe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "torrent-operator", axe)
	archive := filepath.Join(dir, "axe-core-4.14.1.tgz")
	if _, err := os.Stat(archive); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", axe)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm pack %s: %v: %s; the test needs npm, once", axe, err, out)
		}
	}
	script, err := unpackAxe(archive)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// unpackAxe checks an archive and returns the script in it.
func unpackAxe(archive string) (string, error) {
	f, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != axeIntegrity {
		os.Remove(archive)
		return "", fmt.Errorf("%s is not what was published as %s: its SHA-512 is %s", archive, axe, got)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("%s has no axe.min.js: %w", archive, err)
		}
		if h.Name == "package/axe.min.js" {
			b, err := io.ReadAll(r)
			return string(b), err
		}
	}
}

// audit is what axe finds on a page, in lines for a person.
const audit = `axe.run().then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + " (" + v.impact + "): " + n.target + ": " + n.failureSummary)))`

func TestAxeFindsNothingOnAnyPageInLightAndDark(t *testing.T) {
	script := needAxe(t)
	w := newWorld(t)
	w.some()
	at := startDashboard(t)
	b := browse(t, at)
	look := func(name string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			b.run(chromedp.Evaluate(script, nil))
			for _, found := range eval[[]string](b, audit) {
				t.Errorf("%s, %s: %s", name, scheme, found)
			}
		}
	}
	for _, width := range []int64{1280, 360} {
		b.size(width, 800)
		b.open("/login")
		look("login")
		b.fillToken("expired")
		look("a token that is refused")
		b.signIn(stranger)
		look("somebody who may nothing")
		b.signIn(editor)
		b.open("/?namespace=" + w.ns)
		b.reads(".live", "Live")
		look("the list")
		b.open("/?namespace=default")
		b.reads(".live", "Live")
		look("an empty list")
		b.open("/add?namespace=" + w.ns)
		look("adding")
		for _, name := range []string{"imagenet-2012", "wikipedia-en-dump", "llm-weights-70b", "debian-13-netinst"} {
			b.open("/downloads/" + w.ns + "/" + name)
			b.reads(".live", "Live")
			look(name)
		}
		eval[bool](b, `document.querySelectorAll("details").forEach((d) => (d.open = true)) ?? true`)
		look("a download with its menus open")
		b.signIn(viewer)
		b.open("/downloads/" + w.ns + "/imagenet-2012")
		b.reads(".live", "Live")
		look("a download to somebody who may only look")
	}
}

// clickOn presses an element of a page that stays.
func clickOn(selector string) chromedp.Action { return chromedp.Click(selector, chromedp.ByQuery) }
