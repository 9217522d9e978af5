package inproc

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestTheEngineIsToldOfEncryption(t *testing.T) {
	want := download.Request{Encryption: download.EncryptionRequire}
	if got := spec(want, content{}).Encryption; got != want.Encryption {
		t.Errorf("a torrent begins with %q, want %q", got, want.Encryption)
	}
	if got := changed(want).Encryption; got != want.Encryption {
		t.Errorf("a torrent is changed to %q, want %q", got, want.Encryption)
	}
}
