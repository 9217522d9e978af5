package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/torrent-operator/torrent-operator/bench/link"
	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// The payloads.
var (
	oneFile    = rig.Payload{Name: "one-file", PieceLength: 1 << 20, Sizes: []int64{2 << 30}}
	smallFiles = rig.Payload{Name: "small-files", PieceLength: 1 << 20, Sizes: sizes(2000)}
	large      = rig.Payload{Name: "large", PieceLength: 1 << 20, Sizes: []int64{20 << 30}, Repeat: 2 << 30}
	wide       = rig.Payload{Name: "wide-pieces", PieceLength: 64 << 20, Sizes: []int64{2 << 30}}
	narrow     = rig.Payload{Name: "narrow-pieces", PieceLength: 16 << 10, Sizes: []int64{2 << 30}}
	medium     = rig.Payload{Name: "medium-file", PieceLength: 1 << 20, Sizes: []int64{256 << 20}}
	many       = rig.Payload{Name: "many-pieces", PieceLength: 16 << 10, Sizes: []int64{400_000 * 16 << 10}, Repeat: 2 << 30}
)

// sizes returns the sizes of n files from 1 KiB to 2 MiB.
func sizes(n int) []int64 {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]int64, n)
	for i := range all {
		all[i] = 1<<10 + random.Int64N(2<<20-1<<10)
	}
	return all
}

// Who is in which table, and the rates that they are known for, in MB/s.
var (
	fromOneSeeder = map[string]float64{
		"libtorrent, tuned": 430, "libtorrent, defaults": 197, "anacrolix/torrent": 417, "aria2": 240, "transmission": 84,
	}
	fromFourSeeders = map[string]float64{"libtorrent, tuned": 620, "anacrolix/torrent": 450, "aria2": 220}
	ofSmallFiles    = map[string]float64{"libtorrent, tuned": 214, "anacrolix/torrent": 133, "aria2": 73, "transmission": 24}
)

// cases are all there are.
var cases = []*study{
	{
		name: "one", title: "Download from one seeder",
		about: "One file of 2 GiB in pieces of 1 MiB, from one light seeder.",
		turns: func(b *bench) []turn { return everybody(b, source{payload: oneFile, seeders: 1}, fromOneSeeder) },
		bars:  []bar{faster(1.5), thriftier, nearFloor, lean},
	},
	{
		name: "four", title: "Download from four seeders",
		about: "The same file, from four light seeders at once.",
		turns: func(b *bench) []turn { return everybody(b, source{payload: oneFile, seeders: 4}, fromFourSeeders) },
		bars:  []bar{faster(1.3), thriftier, nearFloor, lean},
	},
	{
		name: "small", title: "Download 2,000 small files",
		about: "2,000 files of 1 KiB to 2 MiB, 2 GB together, in pieces of 1 MiB, from one light seeder. " +
			"The line for one file is the first case again, for comparison.",
		turns: func(b *bench) []turn {
			return append(everybody(b, source{payload: smallFiles, seeders: 1}, ofSmallFiles),
				leeching(ours+", one file", b.ours, source{payload: oneFile, seeders: 1}))
		},
		bars: []bar{faster(1.5), share(ours, ours+", one file", 0.5), lean},
	},
	{
		name: "seed", title: "Seed to one leecher", sent: true,
		about: "The file of 2 GiB, sent to one light leecher. CPU time is counted from when the client serves, so without its check of the data. The floor is the light seeder.",
		turns: func(b *bench) []turn { return seeding(b, oneFile, 1) },
		bars:  []bar{sparing},
	},
	{
		name: "seed8", title: "Seed to eight leechers", sent: true,
		about: "A file of 256 MiB, sent to eight light leechers at once, 2 GiB in all.",
		turns: func(b *bench) []turn { return seeding(b, medium, 8) },
		bars:  []bar{sparing},
	},
	{
		name: "pieces", title: "Pieces of all sizes",
		about: "The file of 2 GiB in pieces of 1 MiB, of 64 MiB and of 16 KiB, and 400,000 pieces of 16 KiB (6.1 GiB).",
		turns: func(b *bench) []turn {
			return []turn{
				leeching(ours, b.ours, source{payload: oneFile, seeders: 1}),
				leeching(ours+", 64 MiB pieces", b.ours, source{payload: wide, seeders: 1}),
				leeching(ours+", 16 KiB pieces", b.ours, source{payload: narrow, seeders: 1}),
				leeching(ours+", 400,000 pieces", b.ours, source{payload: many, seeders: 1}),
			}
		},
		bars: []bar{
			share(ours+", 64 MiB pieces", ours, 0.7), share(ours+", 16 KiB pieces", ours, 0.7), share(ours+", 400,000 pieces", ours, 0.7),
			lean,
		},
	},
	{
		name: "crowd", title: "A crowd of peers",
		about: "The file of 2 GiB from one light seeder, alone and among 200 other peers: 180 that never send anything and 20 that send 8 KiB a second.",
		turns: func(b *bench) []turn {
			busy := source{payload: oneFile, seeders: 1, crowd: []string{"--idle", "180", "--slow", "20", "--slow-rate", "8192"}}
			return []turn{
				leeching(ours, b.ours, source{payload: oneFile, seeders: 1}),
				leeching(ours+", 200 peers", command{b.ours.(command).program, []string{"--max-peers", "250"}}, busy),
			}
		},
		bars: []bar{share(ours+", 200 peers", ours, 0.85), lean},
	},
	{
		name: "memory", title: "Memory",
		about: "Peak anonymous memory while 2 GiB and 20 GiB are downloaded.",
		turns: func(b *bench) []turn {
			return []turn{
				leeching(ours, b.ours, source{payload: oneFile, seeders: 1}),
				leeching(ours+", 20 GiB", b.ours, source{payload: large, seeders: 1}),
			}
		},
		bars: []bar{lean, alike(ours+", 20 GiB", ours)},
	},
	{
		name: "check", title: "Check complete data",
		about: "The file of 2 GiB lies there, in the page cache, and is hashed: from the start of the program until it says that every piece is right.",
		turns: func(b *bench) []turn {
			var turns []turn
			for _, c := range []rig.Client{command{b.ours.(command).program, []string{"--verify"}}, hasher{bare{b.self}}} {
				turns = append(turns, turn{
					who: c.Name(), note: note(c),
					take: func(ctx context.Context, b *bench) (result, error) { return b.check(ctx, c, oneFile) },
				})
			}
			return turns
		},
		bars: []bar{share(ours, floor, 0.9)},
	},
	{
		name: "link", title: "A long, lossy path",
		about: "256 MiB from one light seeder at the other end of a path with a round trip of 30 ms, 1% loss in each direction, 50 MB/s and a queue of 1 MiB; " +
			"the system's own congestion control, which is the sender's choice and so the same for all.",
		turns: func(b *bench) []turn {
			from := source{payload: medium, seeders: 1, path: &link.Config{
				Delay: 15 * time.Millisecond, Loss: 0.01, Seed: 1, BytesPerSecond: 50e6, Queue: 1 << 20,
			}}
			return []turn{leeching(ours, b.ours, from), leeching(floor, b.floor, from), leeching("libtorrent, defaults", b.known("libtorrent, defaults"), from)}
		},
		bars: []bar{faster(1)},
	},
	{
		name: "limits", title: "Rate limits",
		about: "Two torrents of 320 MiB at once, within a limit of 64 MiB/s: of the whole engine, or half of it for each torrent. It should take ten seconds.",
		turns: func(*bench) []turn {
			return []turn{
				limiting("torrents down", "--torrent-down", limitedRate/2, false),
				limiting("torrents up", "--torrent-up", limitedRate/2, true),
				limiting("engine down", "--engine-down", limitedRate, false),
				limiting("engine up", "--engine-up", limitedRate, true),
			}
		},
		bars: []bar{onTheLimit("torrents down"), onTheLimit("torrents up"), onTheLimit("engine down"), onTheLimit("engine up")},
	},
	webSeed,
	{name: "pick", title: "What a pick costs", own: picks},
}

// everybody has a turn: we, the floor, and all rivals that are known here.
func everybody(b *bench, from source, known map[string]float64) []turn {
	turns := []turn{leeching(ours, b.ours, from), leeching(floor, b.floor, from)}
	for _, c := range b.rivals {
		if least, ok := known[c.Name()]; ok {
			t := leeching(c.Name(), c, from)
			t.least = least
			turns = append(turns, t)
		}
	}
	return turns
}

func leeching(who string, c rig.Client, from source) turn {
	return turn{who: who, note: note(c), take: func(ctx context.Context, b *bench) (result, error) { return b.leech(ctx, c, from) }}
}

// seeding is a turn for everybody, as a seeder.
func seeding(b *bench, payload rig.Payload, leechers int) []turn {
	var turns []turn
	for _, c := range append([]rig.Client{b.ours, b.floor}, b.rivals...) {
		if c.Name() == "transmission" { // It hands out bandwidth twice a second, so this would take four minutes a round.
			continue
		}
		turns = append(turns, turn{
			who: c.Name(), note: note(c),
			take: func(ctx context.Context, b *bench) (result, error) { return b.seed(ctx, c, payload, leechers) },
		})
	}
	return turns
}

func note(c rig.Client) string { return c.Version() + "; " + c.Settings() }
