package report

import (
	"bytes"
	"unicode/utf8"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// ellipsis ends a text that was cut.
const ellipsis = "…"

// EncodeResult makes at most [MaxResult] bytes of JSON of a result: without its
// lists, and with the longest of its texts cut if that is still too much. There
// is always something to leave behind, so it can't fail.
func EncodeResult(r Result) []byte {
	p := sane(r.Progress)
	p.Pieces.Have, p.Trackers, p.WebSeeds = nil, nil, nil
	r.Progress = p
	texts := []*string{&r.Progress.Name, &r.Progress.NodeName, &r.Progress.Address, &r.Progress.Selection, &r.Revision, &r.Progress.InfoHash}
	if p.Err != nil {
		why := *p.Err // The caller's stays whole.
		r.Progress.Err = &why
		texts = append(texts, &why.Message, &why.Reason)
	}
	state := string(p.State)
	texts = append(texts, &state)
	for {
		r.Progress.State = download.State(state)
		b, err := encode(r)
		if err == nil && len(b) <= MaxResult {
			return b
		}
		longest := texts[0]
		for _, t := range texts {
			if len(*t) > len(*longest) {
				longest = t
			}
		}
		if err != nil || *longest == "" { // Neither can be: sane took out what JSON has no words for.
			return []byte("{}")
		}
		*longest = shorten(*longest, len(*longest)*3/4)
	}
}

// DecodeResult reads a result, such as it stands in a termination message.
// Whoever made it, no number in it is one that it can't be.
func DecodeResult(b []byte) (Result, error) {
	var r struct {
		Progress wireProgress
		Revision string
	}
	if err := decode("a result", bytes.TrimRight(b, " "), MaxResult, &r); err != nil {
		return Result{}, err
	}
	out := Result{Progress: r.Progress.value(), Revision: r.Revision}
	return out, checkProgress(out.Progress)
}

// shorten cuts a text to at most n bytes, at the end of a character, and marks
// where.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	mark := ellipsis
	if n < len(mark) {
		mark = ""
	}
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
