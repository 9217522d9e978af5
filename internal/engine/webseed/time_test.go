package webseed

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stream is a body that gives one byte each interval.
type stream struct {
	r        *http.Request
	content  []byte
	interval time.Duration
}

func (s *stream) Read(p []byte) (int, error) {
	select {
	case <-s.r.Context().Done():
		return 0, s.r.Context().Err()
	case <-time.After(s.interval):
	}
	if len(s.content) == 0 {
		return 0, io.EOF
	}
	p[0] = s.content[0]
	s.content = s.content[1:]
	return 1, nil
}

func (s *stream) Close() error { return nil }

func TestABlockHasTimeToComeAndNoMore(t *testing.T) {
	p := newPayload(t, file{"", 2 << 14})
	for interval, ok := range map[time.Duration]bool{
		patience/(16<<10) - time.Microsecond: true, // A block takes a little less than the patience.
		patience/(16<<10) + time.Microsecond: false,
		time.Hour:                            false,
	} {
		synctest.Test(t, func(t *testing.T) {
			web := roundTrip(func(r *http.Request) (*http.Response, error) {
				return p.partial(r, &stream{r, p.bytes, interval}), nil
			})
			s := p.seed(t, "http://h/secret", func(c *Config) { c.Transport = web })
			began := time.Now()
			err := newWorld(t, p).get(s, p.blocks())
			if ok && err != nil || !ok && (!errors.Is(err, errSlow) || !strings.Contains(err.Error(), "http://h: sends too slowly")) {
				t.Errorf("a byte each %v: %v", interval, err)
			}
			if took := time.Since(began); !ok && took != patience {
				t.Errorf("it was given up after %v", took)
			}
		})
	}
}

func TestAServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	p := newPayload(t, file{"", 2 << 14})
	synctest.Test(t, func(t *testing.T) {
		web := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		s := p.seed(t, "http://h/", func(c *Config) { c.Transport = web })
		if err := newWorld(t, p).get(s, p.blocks()); !errors.Is(err, errSlow) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestFilesThatAreMissingAreLookedForAgain(t *testing.T) {
	p := newPayload(t, file{"a", 100_000}, file{"b", 100_000})
	synctest.Test(t, func(t *testing.T) {
		s := p.seed(t, "http://h/", func(c *Config) {
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				return nil, errors.New("nobody asks for anything")
			})
		})
		s.After(&Error{kind: missing, file: 1})
		w := newWorld(t, p)
		began := time.Now()
		_, stop := w.run(s)
		err := w.await(1)
		stop()
		if took := time.Since(began); took != missingTime || s.After(err) != 0 || s.Gap() != nil {
			t.Errorf("it ended with %v after %v", err, took)
		}
	})
}

// What comes slowly is delivered at once, what comes fast several at a time.
func TestBlocksAreDeliveredInBurstsUnlessTheyComeSlowly(t *testing.T) {
	p := newPayload(t, file{"", 1 << 20})
	synctest.Test(t, func(t *testing.T) {
		s := p.seed(t, "http://h/", func(c *Config) {
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				return p.partial(r, io.NopCloser(bytes.NewReader(p.bytes))), nil
			})
		})
		var bursts []int
		w := newWorld(t, p)
		d := delivery{c: s.Connect(sizes{w, &bursts})}
		for range 2*maxBurst + 3 { // The first tells nothing about the pace.
			d.add(Received{})
		}
		time.Sleep(burstTime + 1)
		d.add(Received{})
		time.Sleep(burstTime + 1)
		d.add(Received{})
		d.add(Received{})
		d.flush()
		d.flush()
		want := []int{1, maxBurst, maxBurst, 3, 1, 1}
		if len(bursts) != len(want) {
			t.Fatalf("bursts of %v, want %v", bursts, want)
		}
		for i := range want {
			if bursts[i] != want[i] {
				t.Fatalf("bursts of %v, want %v", bursts, want)
			}
		}
	})
}

// sizes is a sink that notes how much is delivered at once.
type sizes struct {
	*world
	bursts *[]int
}

func (s sizes) Deliver(burst []Received) { *s.bursts = append(*s.bursts, len(burst)) }
