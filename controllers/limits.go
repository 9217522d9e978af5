package controllers

import (
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// maxRead is how many bytes of ConfigMaps and Secrets are held for one
// download, all together: its .torrent file, headers and certificates. A Secret
// for its worker has no room for more.
const maxRead = 1 << 20

// allowance is how many bytes may still be read for a download.
type allowance int

// take takes the size of something that was read; what names it for a person.
// The failure says that it is more than may be held.
func (a *allowance) take(size int, what string) *download.Failure {
	if *a -= allowance(size); *a < 0 {
		return download.FailForGood(download.ReasonTooLarge,
			"With %s, more than %d KiB of ConfigMaps and Secrets would have to be held for this download: its .torrent file, headers and certificates together. "+
				"Serve the .torrent file over HTTP and name it in spec.source.url of a new TorrentDownload, or have fewer certificates in the bundles.", what, maxRead>>10)
	}
	return nil
}
