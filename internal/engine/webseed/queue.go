package webseed

import (
	"slices"

	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// job is a run of requested blocks that lie next to each other.
type job struct {
	blocks    []wire.Message
	from, end int64  // Bytes of the torrent.
	cancelled []bool // One a block.
	left      int    // Blocks that are not cancelled, and not dealt with yet.
}

// take waits for requests and takes a run of them. It returns nil when the
// connection has ended. As long as the server has not shown that it knows ranges
// there is one job at a time, and never more than it takes.
func (c *Conn) take() *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.ended == nil && !c.ready() {
		c.news.Wait()
	}
	if c.ended != nil {
		return nil
	}
	j := &job{blocks: c.run()}
	c.queue = slices.Delete(c.queue, 0, len(j.blocks))
	last := j.blocks[len(j.blocks)-1]
	j.from, j.end = c.seed.offset(j.blocks[0]), c.seed.offset(last)+int64(last.Length)
	j.cancelled, j.left = make([]bool, len(j.blocks)), len(j.blocks)
	c.jobs = append(c.jobs, j)
	return j
}

// ready says whether a job can begin. It holds c.mu.
func (c *Conn) ready() bool {
	room, _ := c.seed.room()
	return len(c.queue) > 0 && len(c.jobs) < room
}

// run returns a copy of the blocks at the head of the queue that follow each
// other, up to a fair share of the queue for those who have nothing to do. It
// holds c.mu.
func (c *Conn) run() []wire.Message {
	waiting := int64(0)
	for _, m := range c.queue {
		waiting += int64(m.Length)
	}
	_, room := c.seed.room()
	share := min(max(waiting/int64(max(1, room-len(c.jobs))), minRange), maxRange)
	n, next, size := 0, c.seed.offset(c.queue[0]), int64(0)
	for n < len(c.queue) && c.seed.offset(c.queue[n]) == next && (n == 0 || size+int64(c.queue[n].Length) <= share) {
		next += int64(c.queue[n].Length)
		size += int64(c.queue[n].Length)
		n++
	}
	return slices.Clone(c.queue[:n])
}

// offset returns where in the torrent a block begins.
func (s *Seed) offset(m wire.Message) int64 {
	return int64(m.Index)*s.info.PieceLength + int64(m.Begin)
}

// done ends a job.
func (c *Conn) done(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = slices.DeleteFunc(c.jobs, func(o *job) bool { return o == j })
	c.news.Broadcast()
}

// wanted says whether block i of a job is still wanted, and whether anything from
// there on is.
func (c *Conn) wanted(j *job, i int) (block, rest bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest = j.left > 0
	if block = !j.cancelled[i]; block {
		j.cancelled[i] = true // It has begun, and comes whatever follows.
		j.left--
	}
	return block, rest
}

// forget takes back a request. It holds c.mu.
func (c *Conn) forget(m wire.Message) {
	same := func(o wire.Message) bool { return o.Index == m.Index && o.Begin == m.Begin }
	if i := slices.IndexFunc(c.queue, same); i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
		return
	}
	for _, j := range c.jobs {
		if i := slices.IndexFunc(j.blocks, same); i >= 0 && !j.cancelled[i] {
			j.cancelled[i] = true
			j.left--
			return
		}
	}
}
