package cli

import (
	"testing"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

func TestEncryptionIsSaidInAWord(t *testing.T) {
	for text, want := range map[string]download.Encryption{
		"allow": download.EncryptionAllow, "prefer": download.EncryptionPrefer, "Require": download.EncryptionRequire, "DISABLE": download.EncryptionDisable,
	} {
		var f downloadFlags
		if err := f.encryption.Set(text); err != nil {
			t.Error(err)
		}
		if got := f.spec(torrent{}).Encryption; got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
