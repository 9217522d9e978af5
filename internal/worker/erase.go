package worker

import (
	"context"
	"errors"
	"time"

	"github.com/torrent-operator/torrent-operator/internal/download"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// eraseTries is how often erasing is tried before it has failed: the .torrent
// file that says what is to be erased may have to be fetched.
const eraseTries = 5

// erase removes the data of a download that nobody runs.
func (w *worker) erase(ctx context.Context) (int, error) {
	w.request = w.Order.Request
	w.progress.State = download.StateWaiting
	for tries := 1; ; {
		err := w.Executor.Stop(ctx, w.Order.ID, w.request, download.Erase)
		switch {
		case err == nil:
			w.progress.At, w.progress.State = time.Now(), download.StateComplete
			return report.ExitDone, nil
		case ctx.Err() != nil:
			return report.ExitStopped, errStopped
		case errors.Is(err, download.ErrEnding):
			w.wait(ctx, look)
			continue
		case tries == eraseTries:
			var f *download.Failure
			if !errors.As(err, &f) {
				f = download.Fail(download.ReasonVolumeError, "the data can't be erased: %v", err)
			}
			return w.fail(f)
		}
		w.log.Warn("erasing has failed and is tried again", "error", err)
		w.wait(ctx, leastBackoff<<(tries-1))
		tries++
	}
}
