package tracker

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/engine/bencode"
)

// scrapeURL returns the scrape URL of an HTTP tracker for one torrent, if it
// has any: the announce URL's last element of the path must begin with
// "announce" (BEP 48, "Scrape Request").
func scrapeURL(announce *url.URL, infoHash [20]byte) (*url.URL, error) {
	path := announce.EscapedPath()
	cut := strings.LastIndexByte(path, '/') + 1
	rest, ok := strings.CutPrefix(path[cut:], "announce")
	if !ok {
		return nil, fmt.Errorf("%w for scrapes: its path does not end with an element that begins with \"announce\"", ErrUnsupported)
	}
	u := *announce
	u.RawPath = path[:cut] + "scrape" + rest
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fmt.Errorf("%w for scrapes: it is not a valid URL", ErrUnsupported)
	}
	u.RawQuery = withQuery(announce.RawQuery, "info_hash="+escape(infoHash[:]))
	return &u, nil
}

// parseScrape reads the body of a reply to a scrape of one torrent (BEP 48,
// "Scrape Response"). The error is a [*FailureError] if the tracker refused.
func parseScrape(body []byte, infoHash [20]byte) (seeds, peers int, err error) {
	v, err := bencode.View(body, bencode.Limits{Size: maxReply, Depth: maxDepth})
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errNotReply, err)
	}
	for key, value := range v.Entries() {
		switch string(key) {
		case "failure reason":
			return 0, 0, refusal(value, bencode.Value{})
		case "files":
			for hash, file := range value.Entries() {
				if string(hash) != string(infoHash[:]) {
					continue
				}
				seeds, peers = -1, -1
				for key, value := range file.Entries() {
					switch string(key) {
					case "complete":
						seeds = count(value)
					case "incomplete":
						peers = count(value)
					}
				}
				return seeds, peers, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("%w: it does not tell of the torrent", errNotReply)
}
