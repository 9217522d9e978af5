package dht

import "net/netip"

// respond answers a question of so many bytes.
func (n *Node) respond(q *message, from netip.AddrPort, size int) {
	s := n.sides[familyOf(from.Addr())]
	asker := Contact{q.id, from}
	known := s.table.find(from)
	a := message{kind: answer, transaction: q.transaction, id: s.id, ip: from}
	room := maxSend
	if known == nil {
		room = min(room, size*maxAmplification)
	}
	switch q.method {
	case ping:
	case findNode, getPeers:
		if q.target == (ID{}) {
			n.refuse(q, from, codeProtocol, "there is no target or info_hash of 20 bytes")
			return
		}
		if q.method == getPeers {
			a.token = n.tokens.give(from.Addr(), q.target)
			a.values = s.store.get(n.now, q.target, room, n.rng)
		}
		n.fill(s, &a, q, asker, room)
	case announcePeer:
		if code, text := n.announced(s, q, from); code != 0 {
			n.refuse(q, from, code, text)
			return
		}
	default:
		n.refuse(q, from, codeMethod, "no such method")
		return
	}
	n.send(&a, from)
	if !q.readOnly && s.table.asked(n.now, asker) && n.stranger.take(n.now, strangerRate, strangerBurst) {
		n.ask(s, asker, message{method: ping}, nil, nil)
	}
}

func (n *Node) refuse(q *message, from netip.AddrPort, code int64, text string) {
	n.send(&message{kind: failure, transaction: q.transaction, ip: from, code: code, text: text}, from)
}

// announced takes in a peer (BEP 5, "announce_peer"), or says what is wrong.
func (n *Node) announced(s *side, q *message, from netip.AddrPort) (code int64, text string) {
	port := q.port
	if q.implied {
		port = from.Port()
	}
	switch {
	case !n.tokens.accept(q.token, from.Addr(), q.target):
		return codeProtocol, "bad token"
	case q.target == (ID{}) || port == 0:
		return codeProtocol, "there is no info_hash of 20 bytes, or no port"
	case !s.store.add(n.now, s.id, q.target, netip.AddrPortFrom(from.Addr(), port)):
		return codeServer, "too many torrents or peers are announced here"
	}
	for _, mine := range n.searches {
		if mine.hash == q.target {
			n.fx.Found = append(n.fx.Found, Found{mine.id, []netip.AddrPort{netip.AddrPortFrom(from.Addr(), port)}})
		}
	}
	return 0, ""
}

// fill puts nodes and as many of the peers into an answer as fit into room
// bytes: half of it is for the peers, if there are so many, then come nodes, and
// then more peers.
func (n *Node) fill(s *side, a, q *message, asker Contact, room int) {
	peers := a.values
	a.values = nil
	room -= len(a.bytes()) + 2*len("6:nodes6000:") + len("6:valuesle")
	each := 2 + 6
	if s.family == six {
		each = 3 + 18
	}
	take := func(room int) int {
		k := min(max(0, room/each), len(peers))
		a.values, peers = append(a.values, peers[:k]...), peers[k:]
		return k * each
	}
	room -= take(room / 2)
	want := q.want
	if !want[four] && !want[six] {
		want[s.family] = true
	}
	for f, wanted := range want {
		if other := n.sides[f]; wanted && other != nil {
			size := len(ID{}) + []int{6, 18}[f]
			list := []Contact{}
			for _, c := range other.table.closest(n.now, q.target, bucketSize+1, true) {
				if c.Addr != asker.Addr && len(list) < bucketSize && room >= size {
					list = append(list, c)
					room -= size
				}
			}
			a.nodes[f] = list
		}
	}
	take(room)
}
