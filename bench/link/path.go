package link

import (
	"math/rand/v2"
	"time"
)

// path decides what becomes of each packet that goes one way. It is pure: the
// time is an argument, and the seed decides which packets are lost.
type path struct {
	delay time.Duration
	rate  int64         // Bytes a second.
	full  time.Duration // How long a full queue takes to be sent.
	loss  float64
	dice  *rand.Rand

	idle time.Duration // When all that was accepted has been sent.
}

// fate is what becomes of a packet.
type fate int

const (
	delivered fate = iota
	lost           // On the way, by chance. It has used the path all the same.
	dropped        // Because the queue was full.
)

// newPath returns the path of one direction. Directions of one seed lose
// different packets.
func newPath(c Config, direction uint64) path {
	p := path{delay: c.Delay, rate: c.BytesPerSecond, loss: c.Loss, dice: rand.New(rand.NewPCG(c.Seed, direction))}
	p.full = p.sending(c.Queue)
	return p
}

// sending returns how long it takes to send a number of bytes.
func (p *path) sending(bytes int64) time.Duration {
	whole, rest := bytes/p.rate, bytes%p.rate
	return time.Duration(whole)*time.Second + time.Duration(float64(rest)/float64(p.rate)*float64(time.Second))
}

// send offers a packet to the path and returns when it arrives at the other
// end. It must be called with times that never go back; then packets arrive in
// the order in which they were sent.
func (p *path) send(now time.Duration, bytes int) (arrival time.Duration, f fate) {
	sent := max(p.idle, now) + p.sending(int64(bytes))
	if sent-now > p.full {
		return 0, dropped
	}
	p.idle = sent
	if p.dice.Float64() < p.loss {
		return 0, lost
	}
	return sent + p.delay, delivered
}
