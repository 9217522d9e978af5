package webseed

import (
	"time"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// fetch gets the blocks of a job. What has come is delivered whatever happens.
func (c *Conn) fetch(j *job) error {
	b := &body{c: c, at: j.from, end: j.end}
	defer b.close()
	d := delivery{c: c}
	defer d.flush()
	for i, m := range j.blocks {
		wanted, rest := c.wanted(j, i)
		switch {
		case !rest:
			return nil
		case !wanted:
			if err := b.skip(int64(m.Length)); err != nil {
				return err
			}
		default:
			if err := c.receive(b, m, &d); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive gets one block, which is what comes next in b.
func (c *Conn) receive(b *body, m wire.Message, d *delivery) error {
	m.ID = wire.Piece
	lease := c.sink.Claim(m.Index, m.Begin, m.Length)
	if lease == nil {
		if err := b.skip(int64(m.Length)); err != nil {
			return err
		}
		d.add(Received{Msg: m})
		return nil
	}
	if err := b.fill(lease); err != nil {
		c.sink.Abandon(lease)
		return err
	}
	d.add(Received{Msg: m, Fresh: c.sink.Commit(m.Index, m.Begin, lease)})
	c.seed.came()
	return nil
}

// delivery collects blocks to be delivered together, unless they come slowly.
type delivery struct {
	c           *Conn
	burst       []Received
	first, last time.Time // When the first of burst came, and the latest block.
}

func (d *delivery) add(x Received) {
	now := time.Now()
	if len(d.burst) == 0 {
		d.first = now
	}
	d.burst = append(d.burst, x)
	if len(d.burst) == maxBurst || now.Sub(d.first) > burstTime || now.Sub(d.last) > burstTime {
		d.flush()
	}
	d.last = now
}

func (d *delivery) flush() {
	if len(d.burst) > 0 {
		d.c.sink.Deliver(d.burst)
		d.burst = d.burst[:0]
	}
}
