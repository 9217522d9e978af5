package dht

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var stranger = netip.MustParseAddrPort("20.0.0.1:6881")

// alone is a node without anybody else, that is asked by hand.
type alone struct {
	*Node
	t   *testing.T
	now time.Time
}

func newAlone(t *testing.T, c Config) *alone {
	c.Four, c.Seed = true, [32]byte{1}
	return &alone{NewNode(start, c), t, start}
}

// ask sends a message from an address and returns what comes back there.
func (a *alone) ask(from netip.AddrPort, m message) (answers []message) {
	a.t.Helper()
	if m.transaction == nil {
		m.transaction = []byte("aa")
	}
	for _, p := range a.Handle(a.now, m.bytes(), from).Send {
		if m, err := parse(p.Data); err != nil {
			a.t.Fatal(err)
		} else if p.To == from && m.kind != question {
			answers = append(answers, m)
		}
	}
	return answers
}

// questions ticks and returns what is asked of whom.
func (a *alone) questions() map[netip.AddrPort]message {
	a.t.Helper()
	return a.sent(a.Tick(a.now))
}

func (a *alone) sent(fx *Effects) map[netip.AddrPort]message {
	out := map[netip.AddrPort]message{}
	for _, p := range fx.Send {
		m, err := parse(p.Data)
		if err != nil {
			a.t.Fatal(err)
		}
		if m.kind == question {
			m.transaction = slices.Clone(m.transaction)
			out[p.To] = m
		}
	}
	return out
}

// ping has a node asked, and returns the transaction.
func (a *alone) ping(to netip.AddrPort) []byte {
	a.t.Helper()
	a.Ping(to)
	m, ok := a.questions()[to]
	if !ok {
		a.t.Fatalf("%v is not asked", to)
	}
	return m.transaction
}

// enter makes a node known that answers.
func (a *alone) enter(c Contact) {
	a.t.Helper()
	m := message{kind: answer, id: c.ID, transaction: a.ping(c.Addr)}
	a.Handle(a.now, m.bytes(), c.Addr)
	if a.sides[four].table.find(c.Addr) == nil {
		a.t.Fatalf("%v is not known", c)
	}
	a.now = a.now.Add(time.Second)
}

func TestBEP5QuestionsAreAnswered(t *testing.T) {
	n := newAlone(t, Config{})
	id, hash := ID{1}, ID{2}
	ours := n.sides[four].id
	one := func(m message) message {
		t.Helper()
		m.kind, m.id = question, id
		got := n.ask(stranger, m)
		if len(got) != 1 || string(got[0].transaction) != "aa" || got[0].ip != stranger || got[0].kind == answer && got[0].id != ours {
			t.Fatalf("%s is answered %+v", m.method, got)
		}
		return got[0]
	}
	one(message{method: ping})
	first := one(message{method: getPeers, target: hash})
	if len(first.token) != tokenLen || len(first.values) != 0 {
		t.Errorf("get_peers is answered %+v", first)
	}
	if m := one(message{method: announcePeer, target: hash, token: first.token, port: 99}); m.kind != answer {
		t.Errorf("announce_peer is answered %+v", m)
	}
	if m := one(message{method: getPeers, target: hash}); !slices.Equal(m.values, []netip.AddrPort{netip.AddrPortFrom(stranger.Addr(), 99)}) {
		t.Errorf("after the announce get_peers is answered %+v", m)
	}
	for name, c := range map[string]struct {
		m    message
		code int64
	}{
		"no such method":           {message{method: "vote"}, codeMethod},
		"no target":                {message{method: findNode}, codeProtocol},
		"no port":                  {message{method: announcePeer, target: hash, token: first.token}, codeProtocol},
		"no token":                 {message{method: announcePeer, target: hash, port: 1}, codeProtocol},
		"token of another torrent": {message{method: announcePeer, target: ID{3}, token: first.token, port: 1}, codeProtocol},
	} {
		if m := one(c.m); m.kind != failure || m.code != c.code || m.text == "" {
			t.Errorf("%s is answered %+v", name, m)
		}
	}
}

func TestATokenReplayedFromAnotherAddressIsRefused(t *testing.T) {
	n := newAlone(t, Config{})
	got := n.ask(stranger, message{kind: question, method: getPeers, id: ID{1}, target: ID{2}})
	other := netip.MustParseAddrPort("20.0.0.2:6881")
	m := n.ask(other, message{kind: question, method: announcePeer, id: ID{1}, target: ID{2}, token: got[0].token, port: 1})
	if len(m) != 1 || m[0].kind != failure || m[0].code != codeProtocol || len(n.sides[four].store.hashes) != 0 {
		t.Errorf("answered %+v", m)
	}
}

func TestBEP5ImpliedPortIsThatOfThePacket(t *testing.T) {
	n := newAlone(t, Config{})
	token := n.ask(stranger, message{kind: question, method: getPeers, id: ID{1}, target: ID{2}})[0].token
	b := fmt.Sprintf("d1:ad2:id20:%s12:implied_porti1e9:info_hash20:%s4:porti7e5:token8:%se1:q13:announce_peer1:t2:aa1:y1:qe",
		strings.Repeat("i", 20), string(append([]byte{2}, make([]byte, 19)...)), token)
	n.Handle(start, []byte(b), stranger)
	if got := n.sides[four].store.get(start, ID{2}, 9, testRand()); !slices.Equal(got, []netip.AddrPort{stranger}) {
		t.Errorf("announced: %v", got)
	}
}

func TestBEP43AReadOnlyNodeAnswersNobodyAndSaysSo(t *testing.T) {
	n := newAlone(t, Config{ReadOnly: true})
	if m := n.ask(stranger, message{kind: question, method: ping, id: ID{1}}); len(m) != 0 {
		t.Errorf("it answers %+v", m)
	}
	n.Enter([]netip.AddrPort{stranger})
	if m := n.questions()[stranger]; !m.readOnly || m.method != findNode {
		t.Errorf("it asks %+v", m)
	}
}

func TestBEP43WhoIsReadOnlyIsNotEntered(t *testing.T) {
	for _, ro := range []bool{true, false} {
		n := newAlone(t, Config{})
		q := message{kind: question, method: ping, id: ID{1}, readOnly: ro, transaction: []byte("aa")}
		if asked := len(n.sent(n.Handle(start, q.bytes(), stranger))) > 0; asked == ro {
			t.Errorf("read-only %v: asked whether it is there: %v", ro, asked)
		}
	}
}

func TestBEP32NodesOfTheFamiliesThatAreWanted(t *testing.T) {
	n := newAlone(t, Config{Six: true})
	n.enter(Contact{ID{5}, netip.MustParseAddrPort("30.0.0.1:1")})
	n.sides[six].table.answered(n.now, Contact{ID{6}, netip.MustParseAddrPort("[2001:db8::1]:1")})
	at6 := netip.MustParseAddrPort("[2001:db8:9::9]:9")
	for _, c := range []struct {
		from      netip.AddrPort
		want      [2]bool
		four, six bool
	}{
		{stranger, [2]bool{}, true, false},
		{at6, [2]bool{}, false, true},
		{stranger, [2]bool{false, true}, false, true},
		{at6, [2]bool{true, true}, true, true},
	} {
		m := n.ask(c.from, message{kind: question, method: findNode, id: ID{1}, target: ID{2}, want: c.want})[0]
		if len(m.nodes[four]) == 1 != c.four || len(m.nodes[six]) == 1 != c.six {
			t.Errorf("from %v wanting %v: %v", c.from, c.want, m.nodes)
		}
	}
}

func TestAnswersToStrangersAreBounded(t *testing.T) {
	n := newAlone(t, Config{})
	hash := ID{0x80, 2}
	for i := range 64 {
		n.sides[four].table.answered(n.now, Contact{randomIn(hash, i%8, true, n.rng), netip.AddrPortFrom(netip.AddrFrom4([4]byte{30, byte(i), 0, 1}), 1)})
	}
	for i := range maxPeers {
		n.sides[four].store.add(n.now, ID{}, hash, peerAt(i))
	}
	known := n.sides[four].table.closest(n.now, hash, 1, true)[0]
	q := message{kind: question, method: getPeers, id: ID{1}, target: hash, transaction: []byte("aa")}
	asked := len(q.bytes())
	for _, c := range []struct {
		from  netip.AddrPort
		limit int
	}{{stranger, maxAmplification * asked}, {known.Addr, maxSend}} {
		fx := n.Handle(n.now, q.bytes(), c.from)
		size := 0
		for _, p := range fx.Send {
			if p.To == c.from {
				size = max(size, len(p.Data))
			}
		}
		if size > c.limit || size < c.limit-40 {
			t.Errorf("%v gets %d bytes, and may get %d", c.from, size, c.limit)
		}
		m, err := parse(fx.Send[0].Data)
		if err != nil || len(m.values) < 5 || len(m.nodes[four]) < 4 {
			t.Errorf("%v gets %d peers and %d nodes: %v", c.from, len(m.values), len(m.nodes[four]), err)
		}
	}
}

func TestWhoFloodsIsNotAnswered(t *testing.T) {
	n := newAlone(t, Config{})
	answered := 0
	for range 10_000 {
		q := message{kind: question, method: ping, id: ID{1}, transaction: []byte("aa")}
		answered += len(n.Handle(n.now, q.bytes(), stranger).Send)
		answered += len(n.ask(netip.AddrPortFrom(stranger.Addr(), 7), q))
		n.now = n.now.Add(time.Millisecond)
	}
	if answered > hostBurst+strangerBurst {
		t.Errorf("%d packets for one host", answered)
	}
	if m := n.ask(peerAt(7), message{kind: question, method: ping, id: ID{1}}); len(m) != 1 {
		t.Error("nobody else is answered either")
	}
}

func TestQuestionsASecondAreBounded(t *testing.T) {
	n := newAlone(t, Config{})
	for i := range 100 {
		n.sides[four].table.answered(start, Contact{randomID(n.rng), netip.AddrPortFrom(netip.AddrFrom4([4]byte{30, byte(i), 0, 1}), 1)})
		n.Search(randomID(n.rng), 1)
	}
	sent := 0
	for range 10 * 4 { // Nobody answers.
		sent += len(n.Tick(n.now).Send)
		n.now = n.now.Add(busyTick)
		if len(n.flying) > maxFlying {
			t.Fatalf("%d questions under way", len(n.flying))
		}
	}
	if limit := questionBurst + 10*questionRate; sent > limit || sent < 100 {
		t.Errorf("%d questions in ten seconds, and %d are allowed", sent, limit)
	}
}

func TestAnswersThatNobodyAskedForAreNobodys(t *testing.T) {
	n := newAlone(t, Config{})
	node := netip.MustParseAddrPort("30.0.0.1:1")
	right := n.ping(node)
	wrong := []byte{right[0], right[1], right[2], right[3] ^ 1}
	for name, c := range map[string]struct {
		from netip.AddrPort
		t    []byte
	}{
		"another transaction": {node, wrong},
		"a short transaction": {node, right[:2]},
		"a long transaction":  {node, append(right[:4:4], 0)},
		"another address":     {stranger, right},
		"another port":        {netip.AddrPortFrom(node.Addr(), 2), right},
	} {
		m := message{kind: answer, id: ID{7}, transaction: c.t, nodes: [2][]Contact{contactsAt(four, 8), nil}}
		if n.Handle(n.now, m.bytes(), c.from); n.Size() != 0 || len(n.flying) != 1 {
			t.Errorf("%s is taken", name)
		}
	}
	m := message{kind: answer, id: ID{7}, transaction: right}
	if n.Handle(n.now, m.bytes(), node); n.Size() != 1 || len(n.flying) != 0 {
		t.Error("the right one is not taken")
	}
	if n.Handle(n.now, m.bytes(), node); len(n.flying) != 0 || n.Size() != 1 {
		t.Error("it is taken twice")
	}
}

func TestTheGuardHoldsForEveryPacket(t *testing.T) {
	denied := netip.MustParsePrefix("20.0.0.0/8")
	n := newAlone(t, Config{Allow: func(a netip.Addr) bool { return !denied.Contains(a) }})
	if m := n.ask(stranger, message{kind: question, method: ping, id: ID{1}}); len(m) != 0 {
		t.Error("somebody is answered who is denied")
	}
	n.Ping(stranger)
	n.Enter([]netip.AddrPort{stranger})
	if q := n.questions(); len(q) != 0 || len(n.flying) != 0 {
		t.Errorf("%v are asked", q)
	}
	way := netip.MustParseAddrPort("30.0.0.1:1")
	n.Enter([]netip.AddrPort{way})
	q := n.questions()[way]
	m := message{kind: answer, id: ID{7}, transaction: q.transaction, nodes: [2][]Contact{{{ID{8}, stranger}, {ID{9}, netip.MustParseAddrPort("192.168.0.1:1")}, {ID{10}, netip.MustParseAddrPort("40.0.0.1:1")}}, nil}}
	asked := n.sent(n.Handle(n.now, m.bytes(), way))
	if len(asked) != 1 || asked[netip.MustParseAddrPort("40.0.0.1:1")].method != findNode {
		t.Errorf("of a denied node, one of a local network and another one, these are asked: %v", asked)
	}
}

func TestBEP42OurIDFollowsFromWhatOthersSay(t *testing.T) {
	n := newAlone(t, Config{})
	ours := netip.MustParseAddrPort("8.8.8.8:1")
	before := n.sides[four].id
	for i := range minVotes {
		if n.sides[four].id != before {
			t.Fatalf("changed after %d votes", i)
		}
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{30, byte(i), 0, 1}), 1)
		m := message{kind: answer, id: ID{byte(i + 1)}, ip: ours, transaction: n.ping(a)}
		n.Handle(n.now, m.bytes(), a)
	}
	if id := n.sides[four].id; id == before || !fits(id, ours.Addr()) || n.Size() != minVotes {
		t.Errorf("our id is %v, with %d nodes", id, n.Size())
	}
}
