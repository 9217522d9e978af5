package link

import "time"

// flight holds the packets that are on their way in one direction, in the
// order of their arrival. It grows to the most that were ever on their way at
// once, and allocates nothing from then on. The zero value is empty.
type flight struct {
	slots []packet // A ring; its length is a power of two.
	first int      // The slot of the packet that arrives next.
	count int
}

type packet struct {
	arrival time.Duration
	length  int
	buffer  *[mtu]byte
}

// space returns where the next packet may be read into. It is lost unless add
// follows.
func (f *flight) space() []byte {
	if f.count == len(f.slots) {
		grown := make([]packet, max(64, 2*len(f.slots)))
		n := copy(grown, f.slots[f.first:])
		copy(grown[n:], f.slots[:f.first])
		f.slots, f.first = grown, 0
	}
	p := f.slot(f.count)
	if p.buffer == nil {
		p.buffer = new([mtu]byte)
	}
	return p.buffer[:]
}

// add lets a packet fly whose bytes are in the space that was returned last.
func (f *flight) add(arrival time.Duration, length int) {
	p := f.slot(f.count)
	p.arrival, p.length = arrival, length
	f.count++
}

// next returns the packet that arrives next. Its bytes are valid until space
// is called after remove.
func (f *flight) next() (data []byte, arrival time.Duration, ok bool) {
	if f.count == 0 {
		return nil, 0, false
	}
	p := f.slot(0)
	return p.buffer[:p.length], p.arrival, true
}

// remove takes the packet out that arrives next.
func (f *flight) remove() {
	f.first = (f.first + 1) & (len(f.slots) - 1)
	f.count--
}

func (f *flight) slot(i int) *packet { return &f.slots[(f.first+i)&(len(f.slots)-1)] }
