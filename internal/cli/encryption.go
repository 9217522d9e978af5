package cli

import (
	"fmt"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// encryption is a flag's value: how connections to peers are encrypted.
type encryption download.Encryption

// encryptions are all that there are.
var encryptions = []download.Encryption{
	download.EncryptionAllow, download.EncryptionPrefer, download.EncryptionRequire, download.EncryptionDisable,
}

// Set takes what a person wrote.
func (e *encryption) Set(text string) error {
	for _, one := range encryptions {
		if strings.EqualFold(text, string(one)) {
			*e = encryption(one)
			return nil
		}
	}
	return fmt.Errorf("%q is none of allow, prefer, require and disable", text)
}

// String returns it as it is written.
func (e *encryption) String() string { return strings.ToLower(string(*e)) }

// Type names the kind of value in help.
func (e *encryption) Type() string { return "HOW" }
