package metadata

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// stranger is a peer as it behaves.
type stranger struct {
	size    int64   // That it offers; 0 is the true one.
	lies    float64 // The chance of each piece to be wrong.
	silent  float64 // The chance of each request to get no answer.
	rejects float64
	delay   time.Duration // Of an answer.
	joins   time.Duration
	leaves  time.Duration // 0 is never.
	host    int           // 0 is one of its own.
}

// at returns the host of a stranger.
func (p *stranger) at(id ID) netip.Prefix {
	if p.host != 0 {
		return host(p.host)
	}
	return host(1000 + int(id))
}

func host(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 32)
}

// world runs a fetch among strangers, in virtual time.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	truth    []byte
	f        *Fetch
	all      []stranger
	now      time.Duration
	pending  []answer
	liars    map[ID]bool // Who was found to lie,
	lied     map[ID]bool // and who did, by something that was received.
	slow     map[ID]bool
	requests int
	most     int64 // The most bytes of copies that were held at once.
}

type answer struct {
	at   time.Duration
	from ID
	ask  int
	data []byte // nil is a reject.
}

// aRoom is as much as a fetch can use.
func aRoom() *Share { return NewBudget(maxCopies*MaxSmall, MaxSize).Share() }

func newWorld(t *testing.T, seed uint64, size int, all ...stranger) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), truth: make([]byte, size), all: all,
		liars: map[ID]bool{}, lied: map[ID]bool{}, slow: map[ID]bool{},
	}
	for i := range w.truth {
		w.truth[i] = byte(w.rng.Uint32())
	}
	w.f = New(sha1.Sum(w.truth), aRoom())
	return w
}

// run lets time go on until the fetch is done, and returns when that was.
func (w *world) run(limit time.Duration) time.Duration {
	w.t.Helper()
	const step = 50 * time.Millisecond
	for ; w.now < limit; w.now += step {
		for i := range w.all {
			p, id := &w.all[i], ID(i)
			switch {
			case w.liars[id] || w.slow[id]:
			case p.leaves != 0 && w.now >= p.leaves:
				w.f.Leave(id)
			case w.now >= p.joins && w.f.byID[id] == nil:
				if p.size == 0 {
					p.size = int64(len(w.truth))
				}
				if p.size != int64(len(w.truth)) {
					w.lied[id] = true
				}
				if !w.f.Offer(id, p.at(id), p.size) {
					w.t.Fatalf("the size %d of %d was refused", p.size, id)
				}
			}
		}
		w.deliver()
		w.carryOut(w.f.Step(w.now))
		if w.f.Done() != nil {
			return w.now
		}
	}
	w.t.Fatalf("not done after %v and %d requests", limit, w.requests)
	return 0
}

func (w *world) deliver() {
	due := func(a answer) bool { return a.at <= w.now }
	for _, a := range w.pending {
		if !due(a) || w.f.byID[a.from] == nil {
			continue
		}
		if a.data == nil {
			w.f.Reject(w.now, a.from, a.ask)
			continue
		}
		wrong := w.all[a.from].size == int64(len(w.truth)) && !bytes.Equal(a.data, w.truth[a.ask*PieceLength:][:len(a.data)])
		if w.f.Data(a.from, a.ask, a.data) && wrong {
			w.lied[a.from] = true
		}
	}
	w.pending = slices.DeleteFunc(w.pending, due)
}

func (w *world) carryOut(s Steps) {
	for _, id := range s.Liars {
		w.liars[id] = true
		w.f.Leave(id)
	}
	for _, id := range s.Slow {
		w.slow[id] = true
	}
	for _, a := range s.Ask {
		w.requests++
		p := &w.all[a.Peer]
		got := answer{at: w.now + p.delay, from: a.Peer, ask: a.Piece}
		switch {
		case w.rng.Float64() < p.silent:
			continue
		case w.rng.Float64() < p.rejects:
		case p.size != int64(len(w.truth)):
			got.data = make([]byte, lengthOf(p.size, a.Piece))
		default:
			got.data = bytes.Clone(w.truth[a.Piece*PieceLength:][:lengthOf(p.size, a.Piece)])
			if w.rng.Float64() < p.lies {
				got.data[w.rng.IntN(len(got.data))] ^= 1
			}
		}
		w.pending = append(w.pending, got)
	}
	held := int64(0)
	for _, c := range w.f.all {
		for _, part := range c.parts {
			held += int64(len(part))
		}
	}
	w.most = max(w.most, held)
}

// judge holds what must be true in the end: the metadata is right, everybody
// who lied was found, and nobody else.
func (w *world) judge() {
	w.t.Helper()
	if !bytes.Equal(w.f.Done(), w.truth) {
		w.t.Error("the metadata is wrong")
	}
	for i := range w.all {
		if id := ID(i); w.liars[id] != w.lied[id] && (!w.lied[id] || w.f.byID[id] != nil || w.all[i].size == int64(len(w.truth))) {
			w.t.Errorf("%d, %+v: lied %v, found %v", id, w.all[i], w.lied[id], w.liars[id])
		}
	}
}

func repeat(n int, s stranger) []stranger { return slices.Repeat([]stranger{s}, n) }

func TestSeveralPeersShareTheWork(t *testing.T) {
	const size = 40*PieceLength + 17
	w := newWorld(t, 1, size, repeat(8, stranger{delay: time.Second})...)
	took := w.run(time.Minute)
	w.judge()
	// Two rounds of four pieces each would do; pieces asked of two come on top.
	if took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	if w.requests > 2*41 {
		t.Errorf("%d requests for 41 pieces", w.requests)
	}
}

func TestOnePieceOfOneByte(t *testing.T) {
	w := newWorld(t, 1, 1, stranger{})
	w.run(time.Second)
	w.judge()
}

// Of the peers, 30% lie in one way or another, and so many more are of no use.
func TestLiarsAreFoundAndNobodyElse(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			size := []int{100, PieceLength, 3*PieceLength + 5, 50 * PieceLength}[seed%4]
			all := repeat(10, stranger{delay: 200 * time.Millisecond})
			all = append(all, repeat(2, stranger{lies: 1, delay: 100 * time.Millisecond})...)
			all = append(all, repeat(2, stranger{lies: 0.1, delay: 50 * time.Millisecond})...)
			all = append(all, stranger{size: int64(size + 1)}, stranger{size: MaxSize, delay: time.Second})
			all = append(all, stranger{silent: 1}, stranger{rejects: 1}, stranger{silent: 0.3}, stranger{rejects: 0.3})
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			w := newWorld(t, seed, size, all...)
			took := w.run(10 * time.Minute)
			w.judge()
			t.Logf("done after %v, %d requests, %d liars", took, w.requests, len(w.liars))
		})
	}
}

func TestOneHonestPeerAmongLiarsIsEnough(t *testing.T) {
	for seed := range uint64(10) {
		all := repeat(40, stranger{lies: 0.5, delay: 20 * time.Millisecond})
		all[17] = stranger{delay: time.Second, joins: 5 * time.Second}
		w := newWorld(t, seed, 5*PieceLength, all...)
		w.run(10 * time.Minute)
		w.judge()
	}
}

func TestLiarsThatLeaveAreFoundAllTheSame(t *testing.T) {
	all := append(repeat(3, stranger{delay: time.Second}), stranger{lies: 1, leaves: 300 * time.Millisecond})
	w := newWorld(t, 1, 30*PieceLength, all...)
	w.run(10 * time.Minute)
	if !w.lied[3] || !w.liars[3] {
		t.Errorf("lied %v, found %v", w.lied[3], w.liars[3])
	}
	w.judge()
}

func TestSilentAndTricklingPeersHoldNobodyUp(t *testing.T) {
	all := append(repeat(20, stranger{silent: 1}), repeat(20, stranger{delay: askTimeout - time.Second})...)
	all = append(all, stranger{joins: time.Second, delay: 100 * time.Millisecond})
	w := newWorld(t, 1, 100*PieceLength, all...)
	if took := w.run(10 * time.Minute); took > 3*time.Minute {
		t.Errorf("it took %v", took)
	}
	w.judge()
}

func TestAPeerThatIsSlowAndAloneIsWaitedFor(t *testing.T) {
	w := newWorld(t, 1, 3*PieceLength, stranger{delay: askTimeout + 10*time.Second})
	w.run(10 * time.Minute)
	w.judge()
}

func TestAPeerThatNeverAnswersIsOfNoUse(t *testing.T) {
	w := newWorld(t, 1, PieceLength, stranger{silent: 1}, stranger{joins: 5 * time.Minute})
	w.run(10 * time.Minute)
	if !w.slow[0] {
		t.Error("it was kept")
	}
	w.judge()
}

func TestOfferedSizesAreBounded(t *testing.T) {
	f := New([20]byte{}, aRoom())
	for size, ok := range map[int64]bool{-1: false, 0: true, 1: true, MaxSize - 1: true, MaxSize: true, MaxSize + 1: false, 1 << 62: false} {
		if f.Offer(1, host(1), size) != ok {
			t.Errorf("an offer of %d bytes: %v", size, !ok)
		}
		f.Leave(1)
	}
}

// Many offer large metadata and send it slowly: one copy at a time is made, and
// the honest peer still gets its turn.
func TestMemoryIsBoundedAndLargeLiesAreNoObstacle(t *testing.T) {
	var all []stranger
	for i := range 20 {
		all = append(all, stranger{size: MaxSize - int64(i), delay: 2 * time.Second})
		all = append(all, stranger{size: MaxSmall - int64(i), delay: 2 * time.Second})
	}
	all = append(all, stranger{joins: time.Second, delay: 100 * time.Millisecond})
	w := newWorld(t, 1, 20*PieceLength, all...)
	w.run(time.Hour)
	w.judge()
	if limit := int64(MaxSize + maxCopies*MaxSmall); w.most > limit {
		t.Errorf("%d bytes were held", w.most)
	}
}

// One that offers a lot and sends it in drips holds the only place for large
// metadata no longer than what it sends is worth.
func TestAPeerThatDripsDoesNotHoldThePlace(t *testing.T) {
	for n := 1; n <= 10; n += 9 {
		all := repeat(n, stranger{size: MaxSize, delay: 4 * 3 * time.Second, host: 1})
		all = append(all, stranger{joins: time.Second, delay: 100 * time.Millisecond})
		w := newWorld(t, 1, 320*PieceLength, all...)
		if took := w.run(3 * time.Hour); took > 2*time.Minute {
			t.Errorf("with %d of them it took %v", n, took)
		}
		w.judge()
	}
}

// The same when each of them offers another size, and is so fast that it is
// never overdue: most go first.
func TestTheSizeThatMostAddressesOfferGoesFirst(t *testing.T) {
	var all []stranger
	for i := range 20 {
		all = append(all, stranger{size: MaxSize - int64(i), delay: 400 * time.Millisecond, host: 1})
	}
	all = append(all, repeat(2, stranger{joins: time.Second, delay: 200 * time.Millisecond})...)
	w := newWorld(t, 1, 320*PieceLength, all...)
	// The first of them sends all that it offers, at 4 pieces each 400 ms.
	if took := w.run(3 * time.Hour); took > 5*time.Minute {
		t.Errorf("it took %v", took)
	}
	w.judge()
}

// Many addresses that lie alike don't keep out the one that does not.
func TestAMinorityGetsItsTurn(t *testing.T) {
	all := repeat(10, stranger{size: MaxSize, delay: 4 * 3 * time.Second})
	all = append(all, repeat(10, stranger{size: MaxSize - 1, delay: 4 * 3 * time.Second})...)
	all = append(all, stranger{joins: time.Second, delay: 100 * time.Millisecond})
	w := newWorld(t, 1, 320*PieceLength, all...)
	if took := w.run(3 * time.Hour); took > 10*time.Minute {
		t.Errorf("it took %v", took)
	}
	w.judge()
}

// At each turn an honest peer that is slow gets more time, until it suffices.
func TestASlowPeerComesToItsEndAmongOthersThatWait(t *testing.T) {
	var all []stranger
	for i := range 5 {
		all = append(all, stranger{size: MaxSize - int64(i), delay: 4 * 3 * time.Second, host: 1})
	}
	all = append(all, stranger{joins: time.Second, delay: 2 * time.Second}) // At 32 KiB/s.
	w := newWorld(t, 1, 320*PieceLength, all...)
	w.run(2 * time.Hour)
	w.judge()
}

func TestOtherCopiesAreLetGoOfOnceOneIsRight(t *testing.T) {
	truth := make([]byte, 10)
	f := New(sha1.Sum(truth), aRoom())
	f.Offer(1, host(1), 2*PieceLength)
	f.Offer(2, host(2), 10)
	f.Step(0)
	f.Data(1, 0, make([]byte, PieceLength))
	f.Data(2, 0, truth)
	other := f.byID[1].work
	if other.got != PieceLength {
		t.Fatalf("it has %d bytes", other.got)
	}
	f.Step(0)
	if f.Done() == nil || other.parts != nil || f.byID[1].work != nil || f.byID[2].work != nil || len(f.all) > 0 {
		t.Errorf("done %v, and %d pieces of another copy are held", f.Done() != nil, len(other.parts))
	}
}

func TestACopyIsOverdueByWhatHasArrived(t *testing.T) {
	for turns, patience := range []time.Duration{soloTime, 2 * soloTime, 4 * soloTime} {
		c := newAssembly(&peer{size: MaxSize, turns: turns}, nil, time.Hour)
		for range 2 * soloRate / PieceLength {
			c.add(1, int(c.got/PieceLength), make([]byte, PieceLength))
		}
		end := time.Hour + patience + 2*time.Second
		if c.overdue(end-1, turns) || c.overdue(end, turns) || !c.overdue(end+1, turns) {
			t.Errorf("after %d turns: %v, %v, %v", turns, c.overdue(end-1, turns), c.overdue(end, turns), c.overdue(end+1, turns))
		}
	}
	most := newAssembly(&peer{size: 1, turns: 1 << 30}, nil, 0)
	if end := soloTime << maxTurns; most.overdue(end, most.turns) || !most.overdue(end+1, most.turns) {
		t.Error("the time for a turn grows without end")
	}
}

func TestDataThatWasNotAskedForIsRefused(t *testing.T) {
	f := New([20]byte{1}, aRoom())
	if f.Data(1, 0, []byte("x")) || f.Reject(0, 1, 0) {
		t.Error("of a stranger")
	}
	f.Offer(1, host(1), 2*PieceLength)
	if f.Data(1, 0, make([]byte, PieceLength)) || f.Reject(0, 1, 0) {
		t.Error("before it was asked")
	}
	f.Step(0)
	for _, bad := range []struct{ piece, length int }{{-1, 0}, {2, 0}, {1 << 40, PieceLength}} {
		if f.Data(1, bad.piece, make([]byte, bad.length)) {
			t.Errorf("%+v was taken", bad)
		}
	}
	if f.Data(1, 0, make([]byte, PieceLength-1)) {
		t.Error("a short piece was taken")
	}
	if f.Data(1, 0, make([]byte, PieceLength)) {
		t.Error("it was taken twice")
	}
	if !f.Data(1, 1, make([]byte, PieceLength)) {
		t.Error("what was asked for was refused")
	}
}

// FuzzFetch plays any sequence of what peers can do.
func FuzzFetch(f *testing.F) {
	f.Add([]byte{0, 1, 3, 0, 3, 1, 1, 0, 2, 1, 1, 4})
	f.Add([]byte{0, 0, 0, 1, 0, 2, 5, 60, 1, 1, 2, 2, 4, 1, 5, 255, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		truth := bytes.Repeat([]byte("metadata"), 5000)
		fetch, now, open := New(sha1.Sum(truth), aRoom()), time.Duration(0), map[ID][]int{}
		for len(script) >= 2 && fetch.Done() == nil {
			what, arg := script[0]%6, script[1]
			script = script[2:]
			id := ID(arg % 7)
			piece := 0
			if len(open[id]) > 0 {
				piece = open[id][0]
			}
			switch what {
			case 0:
				fetch.Offer(id, host(int(id)%3), int64(len(truth))+int64(arg/7%3))
				open[id] = open[id][:0]
			case 1, 2:
				if n := len(open[id]); n > 0 && fetch.byID[id] != nil {
					size := fetch.byID[id].size
					data := make([]byte, lengthOf(size, piece))
					if size == int64(len(truth)) && what == 1 {
						copy(data, truth[piece*PieceLength:])
					}
					fetch.Data(id, piece, data)
					open[id] = open[id][1:]
				}
			case 3:
				fetch.Reject(now, id, piece)
			case 4:
				fetch.Leave(id)
				open[id] = open[id][:0]
			case 5:
				now += time.Duration(arg) * time.Second
			}
			s := fetch.Step(now)
			for _, a := range s.Ask {
				open[a.Peer] = append(open[a.Peer], a.Piece)
			}
			check(t, fetch)
		}
		if fetch.Done() != nil && !bytes.Equal(fetch.Done(), truth) {
			t.Fatal("wrong metadata was accepted")
		}
	})
}

// check holds what is always true of a fetch.
func check(t *testing.T, f *Fetch) {
	t.Helper()
	big, small := 0, 0
	for _, c := range f.all {
		if c.size > MaxSmall {
			big++
		} else {
			small++
		}
		missing := 0
		for i, part := range c.parts {
			if part == nil {
				missing++
			} else if int64(len(part)) != lengthOf(c.size, i) {
				t.Fatal("a piece of a wrong length was kept")
			}
		}
		if missing != c.missing {
			t.Fatalf("%d pieces are missing, not %d", missing, c.missing)
		}
	}
	if big > 1 || small > maxCopies {
		t.Fatalf("%d large and %d small copies", big, small)
	}
	var taken [kinds]int64
	for _, c := range f.all {
		taken[KindOf(c.size)] += c.size
	}
	if has := f.room.(*Share).taken; has != taken {
		t.Fatalf("it makes copies of %d bytes and has room for %d", taken, has)
	}
	if len(f.peers) != len(f.byID) {
		t.Fatalf("%d peers in the queue, %d known", len(f.peers), len(f.byID))
	}
	for _, p := range f.peers {
		if p.work != nil && (!slices.Contains(f.all, p.work) || p.work.size != p.size) {
			t.Fatal("a peer works on a copy that is not made")
		}
		if p.open() > maxAsked || len(p.asked) > maxLate+maxAsked {
			t.Fatalf("%d pieces are expected of a peer, %d with late ones", p.open(), len(p.asked))
		}
	}
}

// asks returns how many pieces each peer is asked for.
func asks(s Steps) map[ID]int {
	n := map[ID]int{}
	for _, a := range s.Ask {
		n[a.Peer]++
	}
	return n
}

func TestLimitsOfWhatIsAskedAndMade(t *testing.T) {
	f := New([20]byte{1}, aRoom())
	f.Offer(1, host(1), 100*PieceLength)
	if n := asks(f.Step(0))[1]; n != maxAsked {
		t.Errorf("%d pieces are asked of a peer", n)
	}
	for _, c := range []struct {
		size   int64
		copies int
	}{{MaxSmall - 1, maxCopies}, {MaxSmall, maxCopies}, {MaxSmall + 1, 1}} {
		for _, n := range []int{c.copies - 1, c.copies, c.copies + 1} {
			f := New([20]byte{1}, aRoom())
			for i := range n { // Each has a size of its own, on the same side of MaxSmall.
				d := int64(i)
				if c.size <= MaxSmall {
					d = -d
				}
				f.Offer(ID(i), host(i), c.size+d)
			}
			if got := len(asks(f.Step(0))); got != min(n, c.copies) {
				t.Errorf("%d peers with about %d bytes: %d are asked", n, c.size, got)
			}
			late := soloTime + time.Second
			s := f.Step(late) // Those who were asked are too slow; whoever waits gets the place.
			if got := asks(s)[ID(n-1)]; n > c.copies && got == 0 {
				t.Errorf("%d peers with about %d bytes: the last one never gets its turn", n, c.size)
			}
		}
	}
}

func TestHowOftenAPeerMayBeTooSlow(t *testing.T) {
	f := New([20]byte{1}, aRoom())
	f.Offer(1, host(1), PieceLength)
	now := time.Duration(0)
	for strike := 1; strike <= maxStrikes; strike++ {
		if n := asks(f.Step(now))[1]; n != 1 {
			t.Fatalf("before strike %d it is asked for %d pieces", strike, n)
		}
		if s := f.Step(now + askTimeout - 1); len(s.Slow)+len(s.Ask) > 0 {
			t.Errorf("before the time is over: %+v", s)
		}
		now += askTimeout
		if s := f.Step(now); (len(s.Slow) > 0) != (strike == maxStrikes) {
			t.Errorf("strike %d: %+v", strike, s)
		}
		if s := f.Step(now + pause - 1); len(s.Ask) > 0 {
			t.Errorf("it is not left alone: %+v", s)
		}
		now += pause
	}
}
