package cli

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/torrent-operator/torrent-operator/test/freeport"
)

func TestDownloadOfAMagnetLink(t *testing.T) {
	d := newDataset(t, 300_000)
	link := d.meta.Magnet().String() + "&x.pe=" + d.serve(t)
	folder := t.TempDir()
	r := run(t, "download", link, "-o", folder, "--port", strconv.Itoa(freeport.For(t)))
	r.expectSuccess(t)
	d.expectIn(t, folder)
	// What it is was kept: nobody has to be asked again.
	r = run(t, "download", d.meta.Magnet().String(), "-o", folder, "--port", strconv.Itoa(freeport.For(t)), "--json")
	r.expectSuccess(t)
	d.expectIn(t, folder)
}

func TestDownloadOfOneTorrentTwiceByFileAndLink(t *testing.T) {
	d := newDataset(t, 1)
	run(t, "download", d.file, d.meta.Magnet().String()).expectFailure(t, exitUsage, "are the same torrent")
}

func TestInspectShowsWhatAMagnetLinkSays(t *testing.T) {
	link := "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=a+name&tr=http://t.example/announce&ws=http://w.example/&x.pe=p.example:1&so=0,2-4"
	r := run(t, "inspect", link)
	r.expectSuccess(t)
	for _, want := range []string{
		"Name:        a name\n", "Info hash:   0123456789abcdef0123456789abcdef01234567\n", "Tracker:     http://t.example/announce\n",
		"Web seed:    http://w.example/\n", "Peer:        p.example:1\n", "Files:       2 to 4\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, r.stdout)
		}
	}
	r = run(t, "inspect", "--json", link)
	r.expectSuccess(t)
	var v inspectedMagnet
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatal(err)
	}
	if v.Name != "a name" || len(v.Trackers) != 1 || len(v.Files) != 2 || v.Files[1] != [2]int{2, 4} {
		t.Errorf("%+v", v)
	}
}

func TestInspectShowsTheLinkToATorrent(t *testing.T) {
	d := newDataset(t, 1, "--tracker", "http://t.example/announce?passkey=1")
	r := run(t, "inspect", d.file)
	r.expectSuccess(t)
	if want := "Magnet:      " + d.meta.Magnet().String() + "\n"; !strings.Contains(r.stdout, want) {
		t.Errorf("%q is missing in\n%s", want, r.stdout)
	}
}
