package process

import (
	"errors"
	"fmt"
	"sync"

	"github.com/torrent-operator/torrent-operator/internal/engine/bitfield"
	"github.com/torrent-operator/torrent-operator/internal/engine/block"
)

// errLate says that the process that asked is dead already.
var errLate = errors.New("the process is dead")

// ledger is what all peers of a torrent together know of its download: each
// block that was sent, in which life of the process, and each piece that the
// process has said to have.
type ledger struct {
	*torrent

	mu     sync.Mutex
	quiet  sync.Cond // Signalled when a connection ended.
	open   int       // Connections.
	life   int       // Counts the processes; 0 while none may ask.
	sent   []int     // How often each block was sent.
	fresh  int64     // Bytes of blocks that were sent at least once.
	total  int64     // Bytes of all that was sent.
	safe   *bitfield.Bitfield
	wrongs []string // Blocks of safe pieces that were asked for.

	greets  int                // Connections on which this life has said what it has.
	greeted *bitfield.Bitfield // What it said first; nil before.
	have    *bitfield.Bitfield // What it said to have by now.
	alarms  []alarm
}

// alarm is a moment of a download that somebody waits for.
type alarm struct {
	due func(*ledger) bool
	ch  chan struct{}
}

func newLedger(t *torrent) *ledger {
	l := &ledger{
		torrent: t, sent: make([]int, t.PieceCount()*t.blocks()),
		safe: bitfield.New(t.PieceCount()), have: bitfield.New(t.PieceCount()),
	}
	l.quiet.L = &l.mu
	return l
}

// begin lets a new process ask.
func (l *ledger) begin(life int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life, l.greets, l.greeted, l.have, l.alarms = life, 0, nil, bitfield.New(l.PieceCount()), nil
}

// end is called when the process is dead. It waits for the last of what the
// process has said, and returns what it had at its beginning, nil if it did
// not come to say it, and at its end. From now on none of that may be asked
// for again.
func (l *ledger) end() (greeted, have *bitfield.Bitfield) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life = 0
	for l.open > 0 {
		l.quiet.Wait()
	}
	for i := range l.have.All() {
		l.safe.Set(i)
	}
	return l.greeted, l.have
}

// keep forbids to ask for pieces from the next life on.
func (l *ledger) keep(pieces *bitfield.Bitfield) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range pieces.All() {
		l.safe.Set(i)
	}
}

// join counts a connection until its result is called.
func (l *ledger) join() (leave func()) {
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		l.quiet.Broadcast()
	}
}

// answer writes down that a block is being sent.
func (l *ledger) answer(piece int, begin int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life == 0 {
		return errLate
	}
	size := l.blockSize(piece, begin)
	i := piece*l.blocks() + int(begin/block.Size)
	if l.safe.Has(piece) {
		l.wrongs = append(l.wrongs, fmt.Sprintf("life %d asked for block %d of piece %d, which an earlier one had", l.life, begin/block.Size, piece))
	}
	l.sent[i]++
	l.total += size
	if l.sent[i] == 1 {
		l.fresh += size
	}
	l.ring()
	return nil
}

// told writes down what the process has when a connection begins.
func (l *ledger) told(have *bitfield.Bitfield) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.greets++; l.greeted == nil {
		l.greeted = have
	}
	for i := range have.All() {
		l.have.Set(i)
	}
	l.ring()
}

// toldOne writes down that the process has one piece more.
func (l *ledger) toldOne(piece int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have.Set(piece)
	l.ring()
}

// when returns a channel that is closed once due holds. It is asked with the
// ledger locked.
func (l *ledger) when(due func(*ledger) bool) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := alarm{due, make(chan struct{})}
	l.alarms = append(l.alarms, a)
	l.ring()
	return a.ch
}

// ring closes the channels of what has come. It holds l.mu.
func (l *ledger) ring() {
	left := l.alarms[:0]
	for _, a := range l.alarms {
		if a.due(l) {
			close(a.ch)
		} else {
			left = append(left, a)
		}
	}
	l.alarms = left
}

// greetings returns on how many connections this life has said what it has.
func (l *ledger) greetings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.greets
}
