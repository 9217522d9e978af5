package lifecycle

import (
	"fmt"
	"math/bits"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// messages are what a condition says where nobody knows more.
var messages = map[string]string{
	v1alpha1.ReasonPending:     "The download is about to start.",
	v1alpha1.ReasonWaiting:     "Waiting for its turn.",
	v1alpha1.ReasonResolving:   "The torrent's metainfo is being fetched.",
	v1alpha1.ReasonChecking:    "The data that is on the volume already is being hashed.",
	v1alpha1.ReasonDownloading: "Pieces are being fetched.",
	v1alpha1.ReasonFinishing:   "Every wanted piece is verified; the last ones are being made durable.",
	download.ReasonNoPeers: "No byte has come for as long as spec.retry.stallTimeoutSeconds allows. It goes on trying. " +
		"Check that somebody seeds this torrent and can be reached from here, or add trackers or peers to spec.discovery.",
	download.ReasonWorkerPending: "The Pod of the download is being made and started.",
	download.ReasonWorkerEnding:  "An earlier Pod of the download has not ended yet; two never write at once.",
	download.ReasonWorkerFailed:  "The Pod of the download ended before it was done. See its log, and status.worker.lastFailure.",
	download.ReasonNodeLost: "The node of the download's Pod does not answer, so the Pod may still be writing, and no other is begun. " +
		"Bring the node back; or, if it is off for certain, taint it node.kubernetes.io/out-of-service=:NoExecute, or delete the Pod by force.",
	download.ReasonQuotaExceeded: "A ResourceQuota of the namespace has no room for the download. Raise it, or delete something else.",
	download.ReasonTooLarge:      "The TorrentDownload and its source are too large for one worker. Use a magnet link or URL as source, or shorter lists.",
	reasonUnschedulable: "No node can take the Pod of the download. Look at the Pod's events, and at spec.worker, the nodes, and the claim's volume. " +
		"It starts by itself when one can.",
	reasonImagePullBackOff:       "The operator's image can't be pulled for the Pod of the download. Check that the nodes reach its registry, and spec.worker.imagePullSecrets.",
	download.ReasonInternalError: "The download failed for a reason that it did not tell. See the operator's log.",
}

// waitingReasons name what passes without a person who repairs the download.
var waitingReasons = map[string]bool{
	download.ReasonClaimNotFound: true,
	download.ReasonClaimPending:  true,
	download.ReasonVolumeBusy:    true,
	download.ReasonWorkerPending: true,
	download.ReasonWorkerEnding:  true,
	download.ReasonWorkerSilent:  true,
	reasonUnschedulable:          true,
}

// Reasons of Kubernetes' own for a Pod that does not start.
const (
	reasonUnschedulable        = "Unschedulable"
	reasonImagePullBackOff     = "ImagePullBackOff"
	reasonErrImagePull         = "ErrImagePull"
	reasonErrImageNeverPull    = "ErrImageNeverPull"
	reasonInvalidImageName     = "InvalidImageName"
	reasonContainerConfigError = "CreateContainerConfigError"
)

// sameReasons are reasons that take turns while nothing changes.
var sameReasons = map[string]string{reasonErrImagePull: reasonImagePullBackOff}

// personReasons name what does not pass before a person does something, even
// if whatever runs the download tries again by itself.
var personReasons = map[string]bool{
	v1alpha1.ReasonSecretRefused:      true,
	download.ReasonMetainfoInvalid:    true,
	download.ReasonInfoHashMismatch:   true,
	download.ReasonChecksumMismatch:   true,
	download.ReasonUnsupportedTorrent: true,
	download.ReasonPatternInvalid:     true,
	download.ReasonNothingSelected:    true,
	download.ReasonAddressDenied:      true,
	download.ReasonClaimNotLocal:      true,
	download.ReasonVolumeDenied:       true,
	download.ReasonPathConflict:       true,
	download.ReasonInsufficientSpace:  true,
	download.ReasonVolumeReadOnly:     true,
	download.ReasonNodeLost:           true,
	download.ReasonQuotaExceeded:      true,
	download.ReasonNameConflict:       true,
	download.ReasonTooLarge:           true,
	reasonImagePullBackOff:            true,
	reasonErrImageNeverPull:           true,
	reasonInvalidImageName:            true,
	reasonContainerConfigError:        true,
}

// metadataReasons are told by condition MetadataResolved.
var metadataReasons = map[string]bool{
	v1alpha1.ReasonSourceNotFound:      true,
	v1alpha1.ReasonSecretRefused:       true,
	download.ReasonMetainfoInvalid:     true,
	download.ReasonMetainfoUnavailable: true,
	download.ReasonInfoHashMismatch:    true,
	download.ReasonChecksumMismatch:    true,
	download.ReasonUnsupportedTorrent:  true,
}

// volumeReasons are told by condition VolumeReady.
var volumeReasons = map[string]bool{
	download.ReasonClaimNotFound:     true,
	download.ReasonClaimPending:      true,
	download.ReasonClaimNotLocal:     true,
	download.ReasonVolumeDenied:      true,
	download.ReasonVolumeBusy:        true,
	download.ReasonPathConflict:      true,
	download.ReasonInsufficientSpace: true,
	download.ReasonVolumeReadOnly:    true,
	download.ReasonVolumeError:       true,
	v1alpha1.ReasonClaimConflict:     true,
	v1alpha1.ReasonClaimRefused:      true,
	v1alpha1.ReasonClaimResizing:     true,
	v1alpha1.ReasonClaimLost:         true,
}

// refusedReasons are the volumeReasons of a claim whose volume was not opened.
var refusedReasons = map[string]bool{
	download.ReasonClaimNotFound: true,
	download.ReasonClaimPending:  true,
	download.ReasonClaimNotLocal: true,
	download.ReasonVolumeDenied:  true,
}

// checked begins the summary while data on the volume is being hashed.
const checked = "checked "

// summary says the progress in one line.
func summary(p *v1alpha1.Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d%% of %s", p.Percent, size(p.BytesTotal))
	if p.DownloadBytesPerSecond > 0 {
		fmt.Fprintf(&b, ", %s/s", size(p.DownloadBytesPerSecond))
	}
	if p.ETASeconds > 0 {
		fmt.Fprintf(&b, ", %s left", span(time.Duration(p.ETASeconds)*time.Second))
	}
	if p.DownloadBytesPerSecond == 0 && p.UploadBytesPerSecond > 0 {
		fmt.Fprintf(&b, ", sending %s/s", size(p.UploadBytesPerSecond))
	}
	return b.String()
}

// size is n bytes in the largest unit of which there is one, with two digits
// at least.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%dB", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 999.5 && unit < len("KMGTPE")-1 {
		v /= 1024
		unit++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f%ciB", v, "KMGTPE"[unit])
	}
	return fmt.Sprintf("%.0f%ciB", v, "KMGTPE"[unit])
}

// span is d with its two largest units.
func span(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 60*60:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 24*60*60:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
	}
}

// percent is how much of total is there, rounded down. It is 100 only if the
// download is complete.
func percent(verified, total int64, complete bool) int32 {
	if complete {
		return 100
	}
	if total <= 0 || verified <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(min(verified, total)), 100)
	q, _ := bits.Div64(hi, lo, uint64(total))
	return int32(min(q, 99))
}

// twoDigits rounds n to its two leading decimal digits.
func twoDigits(n int64) int64 {
	if n <= 0 {
		return 0
	}
	unit := int64(1)
	n = min(n, 1<<60)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// maxMessage keeps a status, which says the same in up to three conditions,
// within its 4 KiB.
const maxMessage = 320

// address is a URL in running text. What follows its host may hold a passkey.
var address = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)(?:[^\s/?#"'<>@]*@)?([^\s/?#"'<>@]*)([/?#][^\s"'<>]*)?`)

// Redact makes a message fit for a status, an event or a log, which many may read: of every URL
// only scheme and host remain, it is one line, and it is not too long.
func Redact(message string) string {
	message = address.ReplaceAllStringFunc(message, func(u string) string {
		m := address.FindStringSubmatch(u)
		if len(m[3]) > 1 {
			return m[1] + m[2] + "/…"
		}
		return m[1] + m[2] + m[3]
	})
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "�")), " ")
	return shorten(message, maxMessage)
}

// shorten shortens s to at most n bytes, and shows that it did.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return cut(s, n-len("…")) + "…"
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

var camelCase = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)

// validReason says whether the API server would take r as a condition's
// reason.
func validReason(r string) bool { return camelCase.MatchString(r) }

// sentence gives what an error says the form of a condition's message.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(first)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
