package report

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestNumbersThatCanNotBeAreNotTakenIn(t *testing.T) {
	wild := somePush()
	p := &wild.Progress
	p.BytesTotal, p.BytesVerified, p.BytesUploaded = -1, 5, -7
	p.Pieces = download.Pieces{Length: -1, Total: 3, Verified: 9, InProgress: -2, Have: []byte{1, 2, 3}}
	p.Peers = download.Peers{Connected: -1, Seeds: -1, Known: -1}
	p.Checked, p.CompletedAt = math.NaN(), time.Unix(math.MaxInt64/2, 0)
	p.Trackers[0].Seeds = -9
	p.Worker = download.Worker{Owner: "another's", Restarts: -1}
	b, err := EncodePush(wild)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodePush(b)
	if err != nil {
		t.Fatal(err)
	}
	want := someProgress()
	want.BytesTotal, want.BytesVerified, want.BytesUploaded = 0, 0, 0
	want.Pieces = download.Pieces{Total: 3, Verified: 3}
	want.Peers, want.Checked, want.CompletedAt = download.Peers{}, 0, time.Time{}
	want.Trackers[0].Seeds = -1
	if d := cmp.Diff(want, got.Progress); d != "" {
		t.Error(d)
	}
}

func TestWhatReadersRelyOnIsHeldToIt(t *testing.T) {
	for name, spoil := range map[string]func(*Push){
		"no namespace": func(p *Push) { p.ID.Namespace = "" },
		"no uid":       func(p *Push) { p.ID.UID = "" },
		"state":        func(p *Push) { p.Progress.State = "Flying" },
		"no state":     func(p *Push) { p.Progress.State = "" },
		"no failure":   func(p *Push) { p.Progress.State, p.Progress.Err = download.StateFailed, nil },
		"reason":       func(p *Push) { p.Progress.Err.Reason = "not one word" },
		"no reason":    func(p *Push) { p.Progress.Err.Reason = "" },
		"info hash":    func(p *Push) { p.Progress.InfoHash = "0123" },
	} {
		p := somePush()
		spoil(&p)
		b, err := encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodePush(b); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		if _, err := EncodePush(p); err == nil {
			t.Errorf("%s: it was sent", name)
		}
	}
	for name, spoil := range map[string]func(*Order){
		"no name":     func(o *Order) { o.ID.Name = "" },
		"no revision": func(o *Order) { o.Revision = "" },
		"task":        func(o *Order) { o.Task = "Fly" },
		"endpoint":    func(o *Order) { o.Endpoint = "no-port" },
		"no source":   func(o *Order) { o.Request.Source = download.Source{} },
		"two sources": func(o *Order) { o.Request.Source.Magnet = "magnet:?" },
	} {
		o := someOrder()
		spoil(&o)
		b, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeOrder(b); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		if _, err := EncodeOrder(o); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
	r := someReply()
	r.Revision = ""
	if b, _ := encode(r); !refused(DecodeReply(b)) {
		t.Error("a request without a revision was taken")
	}
	r = someReply()
	r.Request.Source = download.Source{}
	if b, _ := encode(r); !refused(DecodeReply(b)) {
		t.Error("a request without a source was taken")
	}
}

func refused(_ Reply, err error) bool { return err != nil }

func TestSizesAreBounded(t *testing.T) {
	order, err := EncodeOrder(someOrder())
	if err != nil {
		t.Fatal(err)
	}
	push, err := EncodePush(somePush())
	if err != nil {
		t.Fatal(err)
	}
	reply, err := EncodeReply(someReply())
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		body   []byte
		most   int
		decode func([]byte) error
	}{
		"order": {order, MaxOrder, func(b []byte) error { _, err := DecodeOrder(b); return err }},
		"push":  {push, MaxPush, func(b []byte) error { _, err := DecodePush(b); return err }},
		"reply": {reply, MaxReply, func(b []byte) error { _, err := DecodeReply(b); return err }},
	} {
		for _, length := range []int{c.most - 1, c.most, c.most + 1} {
			long := append(bytes.Clone(c.body), bytes.Repeat([]byte(" "), length-len(c.body))...)
			if err := c.decode(long); (err != nil) != (length > c.most) {
				t.Errorf("%s of %d bytes: %v", what, length, err)
			}
		}
	}
	o := someOrder()
	for i := range 3 {
		o.Request.Worker = strings.Repeat("x", MaxOrder-len(order)+len(`{\"fsGroup\":1}`)-1+i)
		if _, err := EncodeOrder(o); (err != nil) != (i == 2) {
			t.Errorf("an order of %d bytes: %v", MaxOrder-1+i, err)
		}
	}
}

func TestListsAreBounded(t *testing.T) {
	for _, n := range []int{MaxList - 1, MaxList, MaxList + 1} {
		p := somePush()
		p.Progress.Trackers = make([]download.Tracker, n)
		p.Progress.WebSeeds = make([]download.WebSeed, n)
		b, err := encode(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodePush(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(n, MaxList); len(got.Progress.Trackers) != want || len(got.Progress.WebSeeds) != want {
			t.Errorf("%d of each: %d trackers and %d web seeds were read", n, len(got.Progress.Trackers), len(got.Progress.WebSeeds))
		}
	}
}

// A push of many tiny elements is no lever on the operator's memory.
func TestAPushCostsLittleMoreMemoryThanItsBytes(t *testing.T) {
	body := fmt.Sprintf(`{"ID":{"Namespace":"a","Name":"b","UID":"c"},"Progress":{"State":"Waiting","Trackers":[%s{}]}}`,
		strings.Repeat("{},", (MaxPush-200)/3))
	b := []byte(body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := DecodePush(b); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8*MaxPush {
		t.Errorf("%d bytes allocated for a push of %d", used, len(b))
	}
}

func TestAPushThatWouldBeTooLongGoesWithoutItsLists(t *testing.T) {
	p := somePush()
	p.Progress.Trackers = make([]download.Tracker, MaxList)
	for i := range p.Progress.Trackers {
		p.Progress.Trackers[i].LastError = strings.Repeat("e", MaxPush/MaxList)
	}
	b, err := EncodePush(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodePush(b)
	if err != nil || got.Progress.Trackers != nil || got.Progress.BytesVerified != p.Progress.BytesVerified {
		t.Errorf("%v, %+v", err, got.Progress)
	}
}

// seeds adds the golden files, and what is next to them, to a fuzz target.
func seeds(f *testing.F, form string) {
	b, err := os.ReadFile(filepath.Join("testdata", form+".json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte("{}"))
	f.Add([]byte("null"))
	f.Add(bytes.ReplaceAll(b, []byte("null"), []byte("[{}]")))
	f.Add(bytes.ReplaceAll(b, []byte("1"), []byte("-9e99")))
}

// fuzz holds a form to this: what is read can be written, and is read as the
// same again.
func fuzz[T any](f *testing.F, form string, decode func([]byte) (T, error), encode func(T) ([]byte, error)) {
	seeds(f, form)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(v)
		if err != nil {
			t.Fatalf("%+v was read and can't be written: %v", v, err)
		}
		w, err := decode(again)
		if err != nil {
			t.Fatalf("%s was written and can't be read: %v", again, err)
		}
		third, err := encode(w)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("written as\n%s\nand then as\n%s, %v", again, third, err)
		}
	})
}

func FuzzOrder(f *testing.F)  { fuzz(f, "order", DecodeOrder, EncodeOrder) }
func FuzzPush(f *testing.F)   { fuzz(f, "push", DecodePush, EncodePush) }
func FuzzReply(f *testing.F)  { fuzz(f, "reply", DecodeReply, EncodeReply) }
func FuzzDetail(f *testing.F) { fuzz(f, "detail", DecodeDetail, EncodeDetail) }
func FuzzResult(f *testing.F) {
	fuzz(f, "result", DecodeResult, func(r Result) ([]byte, error) { return EncodeResult(r), nil })
}
