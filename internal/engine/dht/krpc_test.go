package dht

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func idOf(s string) (id ID) {
	copy(id[:], s)
	return id
}

// The example packets of BEP 5, "DHT Queries", with our version added.
func TestBEP5ExamplePackets(t *testing.T) {
	asker, answerer := idOf("abcdefghij0123456789"), idOf("mnopqrstuvwxyz123456")
	peer := netip.MustParseAddrPort("97.120.106.101:11893") // "axje.u"
	for want, m := range map[string]message{
		"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe": {
			kind: question, method: ping, id: asker,
		},
		"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re": {kind: answer, id: answerer},
		"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe": {
			kind: question, method: findNode, id: asker, target: answerer,
		},
		"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe": {
			kind: question, method: getPeers, id: asker, target: answerer,
		},
		"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.uee1:t2:aa1:y1:re": {
			kind: answer, id: asker, token: []byte("aoeusnth"), values: []netip.AddrPort{peer},
		},
		"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee": {
			kind: failure, code: 201, text: "A Generic Error Ocurred", //nolint:misspell // It stands so in BEP 5.
		},
	} {
		m.transaction = []byte("aa")
		got, err := parse([]byte(want))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s is read as %+v, %v", want, got, err)
		}
		ours := strings.Replace(want, "1:t2:aa1:y", "1:t2:aa1:v4:"+version+"1:y", 1)
		if b := m.bytes(); string(b) != ours {
			t.Errorf("written as %s, want %s", b, ours)
		}
	}
}

func TestBEP5AnnounceIsRead(t *testing.T) {
	b := "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe"
	m, err := parse([]byte(b))
	if err != nil || m.method != announcePeer || m.target != idOf("mnopqrstuvwxyz123456") || m.port != 6881 || !m.implied || string(m.token) != "aoeusnth" {
		t.Errorf("read as %+v, %v", m, err)
	}
}

// contactsAt returns n nodes of a family.
func contactsAt(f family, n int) (list []Contact) {
	for i := range n {
		a := netip.AddrFrom4([4]byte{20, 1, byte(i >> 8), byte(i)})
		if f == six {
			a = netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i))
		}
		list = append(list, Contact{ID{byte(i), 1}, netip.AddrPortFrom(a, uint16(1+i))})
	}
	return list
}

func TestBEP32BothFamiliesAndBEP42AddressSurviveTheWay(t *testing.T) {
	m := message{
		kind: answer, transaction: []byte("xy"), id: ID{1}, ip: netip.MustParseAddrPort("[2001:db8::7]:9"), token: []byte("t"),
		nodes:  [2][]Contact{contactsAt(four, 8), contactsAt(six, 8)},
		values: []netip.AddrPort{netip.MustParseAddrPort("20.0.0.1:1"), netip.MustParseAddrPort("[2001:db8::1]:2")},
	}
	got, err := parse(m.bytes())
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("became %+v, %v", got, err)
	}
	q := message{kind: question, method: findNode, transaction: []byte{0, 255}, id: ID{1}, target: ID{2}, readOnly: true, want: [2]bool{true, true}}
	if got, err := parse(q.bytes()); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("became %+v, %v", got, err)
	}
}

func answerWith(inside string) string {
	return "d1:rd2:id20:mnopqrstuvwxyz123456" + inside + "e1:t2:aa1:y1:re"
}

func TestPacketsAtTheirLimits(t *testing.T) {
	transaction := func(n int) string {
		return fmt.Sprintf("d1:rd2:id20:mnopqrstuvwxyz123456e1:t%d:%s1:y1:re", n, strings.Repeat("t", n))
	}
	token := func(n int) string { return answerWith(fmt.Sprintf("5:token%d:%s", n, strings.Repeat("t", n))) }
	depth := func(n int) string { // Two are there already.
		return answerWith("1:x" + strings.Repeat("l", n-2) + strings.Repeat("e", n-2))
	}
	size := func(n int) string {
		const rest = len("1:x0000:")
		return answerWith(fmt.Sprintf("1:x%d:%s", n-len(answerWith(""))-rest, strings.Repeat("x", n-len(answerWith(""))-rest)))
	}
	for _, c := range []struct {
		name  string
		make  func(int) string
		limit int
	}{{"transaction", transaction, maxTransaction}, {"token", token, maxToken}, {"depth", depth, maxDepth}, {"size", size, maxPacket}} {
		for n, ok := range map[int]bool{c.limit - 1: true, c.limit: true, c.limit + 1: false} {
			if _, err := parse([]byte(c.make(n))); (err == nil) != ok {
				t.Errorf("%s of %d: %v", c.name, n, err)
			}
		}
	}
	for _, n := range []int{maxNodes - 1, maxNodes, maxNodes + 1, 90} {
		m := message{kind: answer, transaction: []byte("t"), nodes: [2][]Contact{contactsAt(four, n), nil}}
		if got, err := parse(m.bytes()); err != nil || len(got.nodes[four]) != min(n, maxNodes) {
			t.Errorf("of %d nodes %d are taken: %v", n, len(got.nodes[four]), err)
		}
	}
	for _, n := range []int{maxValues - 1, maxValues, maxValues + 1, 400} {
		m := message{kind: answer, transaction: []byte("t")}
		for i := range n {
			m.values = append(m.values, netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)}), 1))
		}
		if got, err := parse(m.bytes()); err != nil || len(got.values) != min(n, maxValues) {
			t.Errorf("of %d peers %d are taken: %v", n, len(got.values), err)
		}
	}
	m := message{kind: failure, transaction: []byte("t"), text: strings.Repeat("x", maxText+1)}
	if got, err := parse(m.bytes()); err != nil || len(got.text) != maxText {
		t.Errorf("%d bytes of a text are kept: %v", len(got.text), err)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	for name, b := range map[string]string{
		"no transaction":     "d1:rd2:id20:mnopqrstuvwxyz123456e1:y1:re",
		"no kind":            "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aae",
		"another kind":       "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:xe",
		"no id":              "d1:rde1:t2:aa1:y1:re",
		"a short id":         "d1:rd2:id3:abce1:t2:aa1:y1:re",
		"no results":         "d1:t2:aa1:y1:re",
		"results of no kind": "d1:ri1e1:t2:aa1:y1:re",
		"half a node":        answerWith("5:nodes13:aaaaaaaaaaaaa"),
		"a short target":     "d1:ad2:id20:abcdefghij01234567896:target3:abce1:q9:find_node1:t2:aa1:y1:qe",
		"a list":             "l1:ae",
		"not bencoding":      "hello",
		"trailing bytes":     answerWith("") + "x",
	} {
		if m, err := parse([]byte(b)); err == nil {
			t.Errorf("%s is read as %+v", name, m)
		} else if strings.HasPrefix(b, "d1:") && name != "trailing bytes" && !errors.Is(err, errMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := parse([]byte(answerWith("5:nodes26:" + strings.Repeat("\x00", 26) + "6:valuesl6:\x00\x00\x00\x00\x00\x003:abci7ee")))
	if err != nil || len(m.nodes[four]) != 0 || len(m.values) != 0 {
		t.Errorf("nodes and peers without an address: %+v, %v", m, err)
	}
}

// FuzzParse holds that what strangers send is refused or read within the
// limits, and that what was read can be written and is read the same.
func FuzzParse(f *testing.F) {
	for _, file := range corpus(f, "packets") {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if len(m.transaction) > maxTransaction || len(m.token) > maxToken || len(m.values) > maxValues ||
			len(m.nodes[four]) > maxNodes || len(m.nodes[six]) > maxNodes || len(m.text) > maxText || len(m.method) > maxText {
			t.Fatalf("beyond its limits: %+v", m)
		}
		if m.kind == question {
			switch m.method {
			case ping, findNode, getPeers, announcePeer:
			default:
				return
			}
		}
		again := m.bytes()
		n, err := parse(again)
		if err != nil {
			t.Fatalf("%q was read and is written as %q, which is not: %v", b, again, err)
		}
		if third := n.bytes(); !bytes.Equal(again, third) {
			t.Fatalf("%q is written as %q and then as %q", b, again, third)
		}
	})
}

// corpus returns the files of a folder of testdata.
func corpus(tb testing.TB, folder string) (files [][]byte) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*"))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no files in testdata/%s: %v", folder, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, b)
	}
	return files
}
