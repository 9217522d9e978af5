package light

import (
	"fmt"
	"io"
	"sync"

	"github.com/torrent-operator/torrent-operator/bench/rig"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
	"github.com/torrent-operator/torrent-operator/internal/engine/wire"
)

// torrent is what peers know of a torrent, with its blocks numbered through.
type torrent struct {
	info     *metainfo.Info
	hash     metainfo.Hash
	perPiece int // Blocks of each piece but the last.
	blocks   int // Of all pieces.
}

func readTorrent(file string) (*torrent, error) {
	m, err := rig.ReadTorrent(file)
	if err != nil {
		return nil, err
	}
	t := &torrent{info: m.Info, hash: m.InfoHash}
	pieces := m.Info.PieceCount()
	if pieces == 0 {
		return nil, fmt.Errorf("%s: a torrent without a byte; take one that has some", file)
	}
	t.perPiece = blocksOf(m.Info.PieceLength)
	t.blocks = (pieces-1)*t.perPiece + blocksOf(m.Info.PieceSize(pieces-1))
	return t, nil
}

func blocksOf(n int64) int { return int((n + wire.MaxBlock - 1) / wire.MaxBlock) }

// request returns the request for a block.
func (t *torrent) request(block int) wire.Message {
	piece, k := block/t.perPiece, block%t.perPiece
	begin := int64(k) * wire.MaxBlock
	return wire.Message{
		ID: wire.Request, Index: uint32(piece), Begin: uint32(begin),
		Length: uint32(min(wire.MaxBlock, t.info.PieceSize(piece)-begin)),
	}
}

// block returns the number of the block that m asks for, carries or refuses;
// false if there is no such block.
func (t *torrent) block(m wire.Message) (int, bool) {
	b := int(m.Index)*t.perPiece + int(m.Begin/wire.MaxBlock)
	if int(m.Index) >= t.info.PieceCount() || b >= t.blocks {
		return 0, false
	}
	want := t.request(b)
	return b, want.Index == m.Index && want.Begin == m.Begin && want.Length == m.Length
}

// offset returns where in the torrent a block begins.
func (t *torrent) offset(m wire.Message) int64 {
	return int64(m.Index)*t.info.PieceLength + int64(m.Begin)
}

// lines writes lines for those who watch, each in one call. Several may share
// it. A watcher that went away is no concern of a peer.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}
