package wire

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// BEP 10: the bit is the fifth from the right in the sixth reserved byte.
func TestExtendedBit(t *testing.T) {
	var h Handshake
	if h.Extended() {
		t.Error("no bit announces the extension protocol")
	}
	h.Reserved = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff, 0xff}
	if h.Extended() {
		t.Error("another bit announces the extension protocol")
	}
	h = Handshake{}
	h.SetExtended()
	if !h.Extended() || h.Reserved != [8]byte{5: 0x10} {
		t.Errorf("SetExtended left %x", h.Reserved)
	}
}

// BEP 10: what the receiver called the extension comes first.
func TestExtendedMessageBeginsWithTheReceiversID(t *testing.T) {
	m := Extend(3, []byte("content"))
	if want := "\x00\x00\x00\x09\x14\x03content"; string(Append(nil, m)) != want {
		t.Errorf("%q, want %q", Append(nil, m), want)
	}
	m = Extend(uint8(ExtPEX), []byte("de"))
	if e, content := m.Extension(); e != ExtPEX || string(content) != "de" {
		t.Errorf("extension %d with %q", e, content)
	}
}

// The example of BEP 10, whose extensions are not ours.
func TestExtendedHandshakeOfBEP10(t *testing.T) {
	var h ExtendedHandshake
	if err := h.Update([]byte("d1:md11:LT_metadatai1e7:\xc2\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e")); err != nil {
		t.Fatal(err)
	}
	if want := (ExtendedHandshake{Port: 6881, Client: "µTorrent 1.2"}); h != want {
		t.Errorf("%+v, want %+v", h, want)
	}
}

func TestExtendedHandshakeThereAndBack(t *testing.T) {
	for _, c := range []struct {
		h    ExtendedHandshake
		wire string
	}{
		{ExtendedHandshake{}, "d1:mdee"},
		{
			ExtendedHandshake{
				IDs: [extensions]uint8{ExtPEX: 1, ExtMetadata: 2, ExtDontHave: 3, ExtUploadOnly: 255}, Client: "x 1", Port: 65535,
				Requests: 2000, YourIP: netip.MustParseAddr("1.2.3.4"), MetadataSize: 31235, UploadOnly: true,
			},
			"d1:md11:lt_donthavei3e11:upload_onlyi255e11:ut_metadatai2e6:ut_pexi1ee" +
				"13:metadata_sizei31235e1:pi65535e4:reqqi2000e11:upload_onlyi1e1:v3:x 16:yourip4:\x01\x02\x03\x04e",
		},
		{ExtendedHandshake{YourIP: netip.MustParseAddr("2001:db8::1")}, "d1:mde6:yourip16:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01e"},
	} {
		got := string(c.h.Append(nil))
		if got != c.wire {
			t.Errorf("%q, want %q", got, c.wire)
		}
		var back ExtendedHandshake
		if err := back.Update([]byte(got)); err != nil || back != c.h {
			t.Errorf("%q was read as %+v, %v", got, back, err)
		}
	}
}

func TestOurIDsAreTheNumbersOfExtensions(t *testing.T) {
	var h ExtendedHandshake
	h.SetExtensions(ExtPEX, ExtUploadOnly)
	if want := "d1:md11:upload_onlyi4e6:ut_pexi1eee"; string(h.Append(nil)) != want {
		t.Errorf("%q, want %q", h.Append(nil), want)
	}
}

// BEP 10: "m" is additive, and an id of 0 takes an extension back.
func TestLaterHandshakesChangeOnlyWhatTheyName(t *testing.T) {
	var h ExtendedHandshake
	for _, s := range []string{
		"d1:ei1e1:md12:ut_holepunchi9e11:ut_metadatai2e6:ut_pexi1ee1:pi6881e4:reqqi100e11:upload_onlyi1e1:v1:xe",
		"d1:md6:ut_pexi0eee",
		"d4:reqqi50e11:upload_onlyi0ee",
		"de",
	} {
		if err := h.Update([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	want := ExtendedHandshake{
		IDs: [extensions]uint8{ExtMetadata: 2}, Port: 6881, Requests: 50, Client: "x", Encryption: true, Holepunch: true,
	}
	if h != want {
		t.Errorf("%+v, want %+v", h, want)
	}
}

func TestHandshakeValuesThatMakeNoSenseArePassedOver(t *testing.T) {
	for _, s := range []string{
		"d1:md6:ut_pexi256eee", "d1:md6:ut_pexi-1eee", "d1:md6:ut_pex1:1ee", "d1:md6:ut_pexdeee", "d1:md0:i7eee", "d1:mdee",
		"d1:pi0ee", "d1:pi65536ee", "d1:pi-1ee", "d1:p2:aae", "d1:pi99999999999999999999999ee",
		"d4:reqqi0ee", "d4:reqqi-5ee", "d13:metadata_sizei0ee", "d13:metadata_sizei-1ee",
		"d6:yourip0:e", "d6:yourip5:aaaaae", "d6:youripi1ee", "d1:vi1ee", "d1:vlee", "d4:ipv44:aaaae", "d4:ipv616:aaaaaaaaaaaaaaaae",
		"d11:upload_only1:1e", "d1:e1:1e",
	} {
		var h ExtendedHandshake
		if err := h.Update([]byte(s)); err != nil || h != (ExtendedHandshake{}) {
			t.Errorf("%s: %+v, %v", s, h, err)
		}
	}
}

func TestWhatIsNoExtendedHandshake(t *testing.T) {
	for _, s := range []string{
		"", "d", "le", "i1e", "2:de", "dede", "d1:mi1ee", "d1:mlee", "d1:m1:xe", "d1:pi1e1:pi2ee", "d1:pi01ee",
		"2147483647:x", "d1:x" + strings.Repeat("l", maxDepth) + strings.Repeat("e", maxDepth) + "e",
	} {
		var h ExtendedHandshake
		if err := h.Update([]byte(s)); err == nil {
			t.Errorf("%q is read as %+v", s, h)
		}
	}
}

func TestExtendedHandshakeLimits(t *testing.T) {
	of := func(size int) []byte {
		s := []byte("d1:x")
		s = appendString(s, strings.Repeat("x", size-len("d1:x")-len("16372:")-len("e")))
		return append(s, 'e')
	}
	for size, ok := range map[int]bool{maxExtendedHandshake - 1: true, maxExtendedHandshake: true, maxExtendedHandshake + 1: false} {
		b := of(size)
		if len(b) != size {
			t.Fatalf("%d bytes, want %d", len(b), size)
		}
		var h ExtendedHandshake
		if err := h.Update(b); (err == nil) != ok {
			t.Errorf("a handshake of %d bytes: %v, want accepted %v", size, err, ok)
		}
	}
	for name, want := range map[string]string{
		strings.Repeat("x", maxClient-1): strings.Repeat("x", maxClient-1),
		strings.Repeat("x", maxClient):   strings.Repeat("x", maxClient),
		strings.Repeat("x", maxClient+1): strings.Repeat("x", maxClient-3) + "…",
		"a\n\x1b[31m b\xff 1.2":          "a??[31m b 1.2",
	} {
		var h ExtendedHandshake
		if err := h.Update(append(appendString([]byte("d1:v"), name), 'e')); err != nil || h.Client != want {
			t.Errorf("%q became %q, %v; want %q", name, h.Client, err, want)
		}
	}
}

// BEP 54 draws the message byte by byte.
func TestDontHave(t *testing.T) {
	m := DontHave(7, 0x01020304)
	if want := "\x00\x00\x00\x06\x14\x07\x01\x02\x03\x04"; string(Append(nil, m)) != want {
		t.Errorf("%q, want %q", Append(nil, m), want)
	}
	for content, ok := range map[string]bool{"": false, "\x01\x02\x03": false, "\x01\x02\x03\x04": true, "\x01\x02\x03\x04\x05": false} {
		if piece, err := ParseDontHave([]byte(content)); (err == nil) != ok || ok && piece != 0x01020304 {
			t.Errorf("%q: piece %d, %v", content, piece, err)
		}
	}
}

func TestUploadOnly(t *testing.T) {
	for _, is := range []bool{false, true} {
		m := UploadOnly(7, is)
		if m.Payload[0] != 7 {
			t.Errorf("under id %d", m.Payload[0])
		}
		if got, err := ParseUploadOnly(m.Payload[1:]); err != nil || got != is {
			t.Errorf("%v became %v, %v", is, got, err)
		}
	}
	for _, content := range []string{"", "\x00\x01"} {
		if _, err := ParseUploadOnly([]byte(content)); err == nil {
			t.Errorf("%q is read", content)
		}
	}
}

// BEP 11 names the fields; BEP 23 and 7 say how contacts look in them.
func TestPEXLayout(t *testing.T) {
	x := PEX{
		Added: []Contact{
			{netip.MustParseAddrPort("1.2.3.4:258"), WantsNothing | Reachable},
			{netip.MustParseAddrPort("[2001:db8::1]:6881"), 0},
			{netip.MustParseAddrPort("5.6.7.8:1"), 0},
		},
		Dropped: []netip.AddrPort{netip.MustParseAddrPort("[::ffff:9.9.9.9]:9"), netip.MustParseAddrPort("[fe80::2]:2")},
	}
	want := "d5:added12:\x01\x02\x03\x04\x01\x02\x05\x06\x07\x08\x00\x01" + "7:added.f2:\x12\x00" +
		"6:added618:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1" + "8:added6.f1:\x00" +
		"7:dropped6:\x09\x09\x09\x09\x00\x09" +
		"8:dropped618:\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x02e"
	got := string(x.Append(nil))
	if got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	back, err := ParsePEX([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	again := string(back.Append(nil))
	if again != want || len(back.Added) != 3 || len(back.Dropped) != 2 {
		t.Errorf("%+v", back)
	}
	if empty := (&PEX{}).Append(nil); string(empty) != "de" {
		t.Errorf("nothing is %q", empty)
	}
}

func TestPEXFlagsMayBeMissing(t *testing.T) {
	for s, want := range map[string][]ContactFlags{
		"d5:added12:aaaaaabbbbbbe":                        {0, 0},
		"d5:added12:aaaaaabbbbbb7:added.f0:e":             {0, 0},
		"d5:added12:aaaaaabbbbbb7:added.f1:\x02e":         {2, 0},
		"d5:added12:aaaaaabbbbbb7:added.f3:\x02\x10\x01e": {2, 16},
	} {
		x, err := ParsePEX([]byte(s))
		var got []ContactFlags
		for _, c := range x.Added {
			got = append(got, c.Flags)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestWhatIsNoPEX(t *testing.T) {
	for _, s := range []string{
		"", "le", "i0e", "1:d", "dede", "d5:addedi1ee", "d5:addedlee", "d7:added.fi0ee", "d5:added5:aaaaae", "d5:added7:aaaaaaae",
		"d6:added617:aaaaaaaaaaaaaaaaae", "d7:dropped1:ae", "d8:dropped66:aaaaaae", "d7:droppedlee", "d5:added0:5:added0:e",
	} {
		if x, err := ParsePEX([]byte(s)); err == nil {
			t.Errorf("%q is read as %+v", s, x)
		}
	}
}

func TestPEXLimits(t *testing.T) {
	of := func(v4, v6 int) []byte {
		var x PEX
		for i := range v4 + v6 {
			a := netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)})
			if i >= v4 {
				a = netip.AddrFrom16([16]byte{0x20, 14: byte(i >> 8), 15: byte(i)})
			}
			x.Added = append(x.Added, Contact{netip.AddrPortFrom(a, 1), 0})
			x.Dropped = append(x.Dropped, netip.AddrPortFrom(a, 1))
		}
		return x.Append(nil)
	}
	for _, c := range []struct{ v4, v6, want int }{
		{MaxContacts - 1, 0, MaxContacts - 1},
		{MaxContacts, 0, MaxContacts},
		{MaxContacts + 1, 0, MaxContacts},
		{0, MaxContacts + 1, MaxContacts},
		{MaxContacts - 1, 2, MaxContacts},
	} {
		x, err := ParsePEX(of(c.v4, c.v6))
		if err != nil || len(x.Added) != c.want || len(x.Dropped) != c.want {
			t.Errorf("%d and %d: %d added, %d dropped, %v; want %d", c.v4, c.v6, len(x.Added), len(x.Dropped), err, c.want)
		}
	}
	for size, ok := range map[int]bool{maxPEX - 1: true, maxPEX: true, maxPEX + 1: false} {
		b := append(appendString([]byte("d1:x"), strings.Repeat("x", size-len("d1:x16372:e"))), 'e')
		if _, err := ParsePEX(b); len(b) != size || (err == nil) != ok {
			t.Errorf("%d bytes: %v, want accepted %v", len(b), err, ok)
		}
	}
}

// FuzzExtendedHandshake: what is accepted says the same when it is written and
// read again, but for what is only heard of others.
func FuzzExtendedHandshake(f *testing.F) {
	f.Add([]byte("d1:md11:LT_metadatai1e7:\xc2\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e"))
	f.Add([]byte("d1:ei1e4:ipv44:aaaa1:md11:lt_donthavei7e11:upload_onlyi3e12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei123e1:pi1e4:reqqi500e11:upload_onlyi1e1:v16:libtorrent/2.0.96:yourip4:\x7f\x00\x00\x01e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, back ExtendedHandshake
		if h.Update(b) != nil {
			return
		}
		if len(h.Client) > maxClient {
			t.Fatalf("a client's name of %d bytes", len(h.Client))
		}
		h.Encryption, h.Holepunch = false, false
		if err := back.Update(h.Append(nil)); err != nil || back != h {
			t.Fatalf("%+v became %+v, %v", h, back, err)
		}
	})
}

// FuzzPEX: what is accepted keeps to the limits, and is the same when it is
// written and read again.
func FuzzPEX(f *testing.F) {
	f.Add([]byte("d5:added12:aaaaaabbbbbb7:added.f2:\x02\x106:added618:aaaaaaaaaaaaaaaaaa8:added6.f1:\x017:dropped6:cccccc8:dropped60:e"))
	f.Add([]byte("d5:added0:7:added.f0:7:dropped0:e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParsePEX(b)
		if err != nil {
			return
		}
		if len(x.Added) > MaxContacts || len(x.Dropped) > MaxContacts {
			t.Fatalf("%d added and %d dropped", len(x.Added), len(x.Dropped))
		}
		again := x.Append(nil)
		back, err := ParsePEX(again)
		if err != nil || string(back.Append(nil)) != string(again) {
			t.Fatalf("%+v became %+v, %v", x, back, err)
		}
	})
}
