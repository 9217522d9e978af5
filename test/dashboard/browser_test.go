//go:build browser

package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// needChromium finds Chromium; where this process is root on Debian it
// installs it, elsewhere it says what is needed.
var needChromium = sync.OnceValues(func() (string, error) {
	find := func() string {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	}
	if path := find(); path != "" {
		return path, nil
	}
	if os.Getuid() != 0 {
		return "", fmt.Errorf("there is no Chromium: install it, on Debian as root by\n  apt-get install --no-install-recommends chromium")
	}
	fmt.Println("Installing Chromium, to test with")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out[max(0, len(out)-2000):])
		}
	}
	return find(), nil
})

// tab is a page of a browser, with cookies of its own.
type tab struct {
	*testing.T
	ctx context.Context
	at  string // Address of the dashboard.

	mu    sync.Mutex
	wrong []string // What the browser complained about.
}

// browse opens a browser at a dashboard, for the length of the test. What a
// page's script fails at, or its policy forbids, fails the test.
func browse(t *testing.T, at string) *tab {
	t.Helper()
	path, err := needChromium()
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true), chromedp.WindowSize(1280, 900))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	b := &tab{T: t, ctx: ctx, at: at}
	chromedp.ListenTarget(ctx, b.hear)
	b.run(log.Enable())
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, w := range b.wrong {
			t.Error("the browser says: " + w)
		}
	})
	return b
}

func (b *tab) hear(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.wrong = append(b.wrong, e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		// Answers that are no success are part of the tests.
		if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork || e.Entry.Source == log.SourceSecurity {
			b.wrong = append(b.wrong, e.Entry.Text)
		}
	}
}

func (b *tab) run(actions ...chromedp.Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if b.ctx.Err() == nil && chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // The first call starts the browser, which must outlive it.
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.Fatalf("the browser: %v", err)
	}
}

// open goes to a path.
func (b *tab) open(path string) {
	b.Helper()
	b.run(chromedp.Navigate(b.at + path))
}

// signIn fills in the form, as somebody.
func (b *tab) signIn(who string) {
	b.Helper()
	b.open("/login")
	b.fill("#token", tokens[who])
	b.submit("main form button")
}

// fill puts text into a field.
func (b *tab) fill(selector, text string) {
	b.Helper()
	b.run(chromedp.SetValue(selector, text, chromedp.ByQuery))
}

// submit presses a button that leads to another page, and waits for that.
func (b *tab) submit(selector string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible)); err != nil {
		b.Fatalf("pressing %s: %v", selector, err)
	}
}

// eval runs an expression of JavaScript, which may be a promise, and reads its
// value.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	var raw []byte
	b.run(chromedp.Evaluate(expression, &raw, func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams {
		return p.WithAwaitPromise(true).WithReturnByValue(true)
	}))
	var out T
	if err := json.Unmarshal(raw, &out); err != nil {
		b.Fatalf("%s is %s: %v", expression, raw, err)
	}
	return out
}

// text is what a person reads in an element.
func (b *tab) text(selector string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// reads waits until an element has a text.
func (b *tab) reads(selector, text string) {
	b.Helper()
	last := ""
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := awaitIn(ctx, "", func() bool {
		last = b.text(selector)
		return strings.Contains(last, text)
	})
	if err != nil {
		b.picture("failed")
		b.Fatalf("waited in vain until %s reads %q; it reads %q, at %s", selector, text, last, eval[string](b, "location.href"))
	}
}

// size makes the window as large as a device's.
func (b *tab) size(width, height int64) {
	b.Helper()
	b.run(emulation.SetDeviceMetricsOverride(width, height, 1, width < 600))
}

// scheme has the browser prefer light or dark.
func (b *tab) scheme(name string) {
	b.Helper()
	b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}))
	// Canvases are drawn again in a frame.
	eval[bool](b, "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))")
}

// picture takes a screenshot of what is in sight. It goes to docs/images with
// -write, and else to the folder of DASHBOARD_PICTURES, if that is set.
func (b *tab) picture(name string) {
	b.Helper()
	dir := os.Getenv("DASHBOARD_PICTURES")
	if *write && !strings.HasPrefix(name, "failed") {
		dir = "../../docs/images"
	}
	if dir == "" {
		return
	}
	var png []byte
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		png, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
		return err
	}))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.Fatal(err)
	}
}
