package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// encode makes JSON of a value that can be JSON. Angle brackets stay as they
// are: nobody shows it in a page, and it has to be short.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// decode reads at most most bytes of JSON. What it does not know it leaves
// alone.
func decode(what string, b []byte, most int, into any) error {
	if len(b) > most {
		return fmt.Errorf("%s of %d bytes, and %d are the most", what, len(b), most)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// EncodeOrder makes JSON of an order. The error says what is wrong with it, or
// that it is longer than [MaxOrder].
func EncodeOrder(o Order) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	b, err := encode(o)
	if err == nil && len(b) > MaxOrder {
		err = fmt.Errorf("the order has %d bytes, and %d are the most", len(b), MaxOrder)
	}
	return b, err
}

// DecodeOrder reads an order.
func DecodeOrder(b []byte) (o Order, err error) {
	if err = decode("an order", b, MaxOrder, &o); err == nil {
		err = o.check()
	}
	return o, err
}

func (o Order) check() error {
	if err := checkID(o.ID); err != nil {
		return fmt.Errorf("the order: %w", err)
	}
	if o.Revision == "" {
		return errors.New("the order has no revision")
	}
	if !slices.Contains([]Task{Download, Seed, Erase}, o.Task) {
		return fmt.Errorf("the order has a task %q, which this version does not know", o.Task)
	}
	if _, _, err := net.SplitHostPort(o.Endpoint); o.Endpoint != "" && err != nil {
		return fmt.Errorf("the order's endpoint: %w", err)
	}
	return checkRequest(o.Request)
}

// EncodePush makes JSON of a push.
func EncodePush(p Push) ([]byte, error) {
	p.Progress = sane(p.Progress)
	if err := p.check(); err != nil {
		return nil, err
	}
	b, err := encode(p)
	if err == nil && len(b) > MaxPush {
		p.Progress.Pieces.Have, p.Progress.Trackers, p.Progress.WebSeeds = nil, nil, nil
		b, err = encode(p)
	}
	return b, err
}

// DecodePush reads a push. Whoever made it, no number in it is one that it
// can't be.
func DecodePush(b []byte) (Push, error) {
	var p wirePush
	if err := decode("a push", b, MaxPush, &p); err != nil {
		return Push{}, err
	}
	out := Push{ID: p.ID, Revision: p.Revision, Progress: p.Progress.value()}
	return out, out.check()
}

func (p Push) check() error {
	if err := checkID(p.ID); err != nil {
		return fmt.Errorf("the push: %w", err)
	}
	return checkProgress(p.Progress)
}

// EncodeReply makes JSON of a reply.
func EncodeReply(r Reply) ([]byte, error) {
	b, err := encode(r)
	if err == nil && len(b) > MaxReply {
		err = fmt.Errorf("the reply has %d bytes, and %d are the most", len(b), MaxReply)
	}
	return b, err
}

// DecodeReply reads a reply.
func DecodeReply(b []byte) (r Reply, err error) {
	if err = decode("a reply", b, MaxReply, &r); err == nil && r.Request != nil {
		if r.Revision == "" {
			return r, errors.New("the reply has a request without a revision")
		}
		err = checkRequest(*r.Request)
	}
	return r, err
}

func checkID(id download.ID) error {
	if id.Namespace == "" || id.Name == "" || id.UID == "" {
		return fmt.Errorf("%q/%q (%q) is no download's whole name", id.Namespace, id.Name, id.UID)
	}
	return nil
}

func checkRequest(r download.Request) error {
	sources := 0
	for _, there := range []bool{r.Source.Metainfo != nil, r.Source.URL != nil, r.Source.Magnet != ""} {
		if there {
			sources++
		}
	}
	if sources != 1 {
		return fmt.Errorf("the request has %d sources, and one is what it takes", sources)
	}
	return nil
}

var (
	states = []download.State{
		download.StateResolving, download.StateWaiting, download.StateChecking, download.StateDownloading, download.StateStalled,
		download.StateFinishing, download.StateSeeding, download.StateComplete, download.StateFailed,
	}
	hash = regexp.MustCompile(`^([0-9a-f]{40})?$`)
	// reason is what Kubernetes takes for a condition's reason.
	reason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]{0,254}[A-Za-z0-9_])?$`)
)

// checkProgress refuses what readers of a snapshot rely on.
func checkProgress(p download.Progress) error {
	switch {
	case !slices.Contains(states, p.State):
		return fmt.Errorf("the snapshot has a state %q, which this version does not know", p.State)
	case p.State == download.StateFailed && p.Err == nil:
		return errors.New("the snapshot has failed, and does not say why")
	case p.Err != nil && !reason.MatchString(p.Err.Reason):
		return fmt.Errorf("the snapshot has a failure for %q, which is no reason", p.Err.Reason)
	case !hash.MatchString(p.InfoHash):
		return fmt.Errorf("the snapshot has an info hash %q, which is none", p.InfoHash)
	}
	return nil
}

// wirePush and wireProgress are read with their lists bounded: three bytes of
// JSON can stand for a hundred of memory.
type wirePush struct {
	ID       download.ID
	Revision string
	Progress wireProgress
}

type wireProgress struct {
	download.Progress
	Trackers list[download.Tracker]
	WebSeeds list[download.WebSeed]
}

// value returns the snapshot, made sane.
func (p wireProgress) value() download.Progress {
	p.Progress.Trackers, p.Progress.WebSeeds = p.Trackers, p.WebSeeds
	return sane(p.Progress)
}

// list is a slice of which no more than MaxList elements are read.
type list[T any] []T

// UnmarshalJSON implements [json.Unmarshaler].
func (l *list[T]) UnmarshalJSON(b []byte) (err error) {
	*l, err = readList[T](b, MaxList)
	return err
}

// readList reads a JSON list, and no more than most of its elements.
func readList[T any](b []byte, most int) (l []T, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	begin, err := d.Token()
	if err != nil || begin == nil {
		return nil, err
	}
	if begin != json.Delim('[') {
		return nil, errors.New("there is something else where a list should be")
	}
	for d.More() && len(l) < most {
		var v T
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return l, nil
}
