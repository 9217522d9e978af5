package block

import (
	"runtime"
	"sync"
	"testing"
	"unsafe"
)

func TestPoolNeverExceedsItsBudget(t *testing.T) {
	const blocks = 3*least + 5 // Not a round number.
	p := NewPool(blocks * Size)
	if p.Capacity() != blocks*Size {
		t.Fatalf("capacity %d, want %d", p.Capacity(), blocks*Size)
	}
	for i := range blocks {
		if b := p.Get(); len(b) != Size || cap(b) != Size {
			t.Fatalf("buffer %d has length %d and capacity %d", i, len(b), cap(b))
		}
	}
	if p.Get() != nil {
		t.Error("a buffer beyond the budget")
	}
	if p.Used() != p.Capacity() {
		t.Errorf("%d used of %d", p.Used(), p.Capacity())
	}
}

func TestSmallBudgetHoldsAMebibyte(t *testing.T) {
	for _, budget := range []int64{-1, 0, 1, Size} {
		if got := NewPool(budget).Capacity(); got != least*Size {
			t.Errorf("budget %d: capacity %d, want %d", budget, got, least*Size)
		}
	}
}

func TestPutMakesRoom(t *testing.T) {
	p := NewPool(0)
	var out [][]byte
	for b := p.Get(); b != nil; b = p.Get() {
		out = append(out, b)
	}
	last := out[len(out)-1]
	p.Put(last[:10]) // As short as the last block of a torrent.
	if p.Used() != p.Capacity()-Size {
		t.Errorf("%d used after one of %d came back", p.Used(), p.Capacity())
	}
	if b := p.Get(); len(b) != Size || unsafe.SliceData(b) != unsafe.SliceData(last) {
		t.Error("the buffer that came back is not handed out whole")
	}
}

func TestBuffersDoNotOverlap(t *testing.T) {
	p := NewPool(2 * least * Size)
	var out [][]byte
	for b := p.Get(); b != nil; b = p.Get() {
		for i := range b {
			b[i] = byte(len(out))
		}
		out = append(out, b)
	}
	for i, b := range out {
		if b[0] != byte(i) || b[Size-1] != byte(i) {
			t.Fatalf("buffer %d was written through another", i)
		}
	}
	runtime.KeepAlive(p) // As by giving the buffers back.
}

func TestPoolIsSharedByGoroutines(t *testing.T) {
	p := NewPool(2 * least * Size)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 2000 {
				if b := p.Get(); b != nil {
					b[0], b[Size-1] = byte(g), byte(g)
					if b[0] != byte(g) || b[Size-1] != byte(g) {
						t.Error("a buffer has two owners")
					}
					p.Put(b)
				}
			}
		})
	}
	wg.Wait()
	if p.Used() != 0 {
		t.Errorf("%d used after all came back", p.Used())
	}
}
