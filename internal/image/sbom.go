package image

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/version"
)

// The form of a bill of materials: SPDX 2.3, as JSON, with what we know of a
// module; see https://spdx.github.io/spdx-spec/v2.3/.
type bill struct {
	SPDXVersion       string         `json:"spdxVersion"`
	DataLicense       string         `json:"dataLicense"`
	ID                string         `json:"SPDXID"`
	Name              string         `json:"name"`
	DocumentNamespace string         `json:"documentNamespace"`
	CreationInfo      creation       `json:"creationInfo"`
	Packages          []spdxPackage  `json:"packages"`
	Relationships     []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID               string        `json:"SPDXID"`
	Name             string        `json:"name"`
	VersionInfo      string        `json:"versionInfo"`
	DownloadLocation string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	LicenseDeclared  string        `json:"licenseDeclared"`
	LicenseConcluded string        `json:"licenseConcluded"`
	CopyrightText    string        `json:"copyrightText"`
	Comment          string        `json:"comment,omitempty"`
	ExternalRefs     []externalRef `json:"externalRefs"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	noAssertion = "NOASSERTION"
	spdxRoot    = "SPDXRef-DOCUMENT"
	license     = "Apache-2.0"
	// beginning is when a bill says it was made if no date is known: it must
	// say some time, and the same one each time.
	beginning = "1970-01-01T00:00:00Z"
)

// SBOM is the bill of materials of a Go program: the modules that Go has noted
// down in it, in SPDX 2.3, with what is known of their licenses. The same
// program has the same bill.
func SBOM(program []byte, of version.Info, licenses []License) ([]byte, error) {
	build, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("reading of what the program was built: %w", err)
	}
	sum := sha256.Sum256(program)
	created := of.Date
	if !strings.HasSuffix(created, "Z") { // SPDX knows no other zone.
		created = beginning
	}
	own := module(&build.Main, of.Version)
	own.LicenseDeclared = license
	b := bill{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: spdxRoot,
		Name:              "torrent-operator-" + of.Version,
		DocumentNamespace: "https://github.com/torrent-operator/torrent-operator/spdx/" + hex.EncodeToString(sum[:]),
		CreationInfo:      creation{Created: created, Creators: []string{"Organization: torrent-operator"}},
		Packages:          []spdxPackage{own},
		Relationships:     []relationship{{spdxRoot, "DESCRIBES", own.ID}},
	}
	add := func(p *spdxPackage) {
		p.LicenseDeclared = declared(licenses, p.Name)
		b.Packages = append(b.Packages, *p)
		b.Relationships = append(b.Relationships, relationship{own.ID, "DEPENDS_ON", p.ID})
	}
	std := module(&debug.Module{Path: stdlib, Version: strings.TrimPrefix(build.GoVersion, "go")}, "")
	add(&std)
	for _, m := range build.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p := module(m, "")
		add(&p)
	}
	out, err := json.MarshalIndent(b, "", " ")
	return append(out, '\n'), err
}

// module is what a bill says of a Go module. Its version may be known better.
func module(m *debug.Module, better string) spdxPackage {
	v := cmp.Or(better, m.Version)
	p := spdxPackage{
		ID: "SPDXRef-" + spdxName(m.Path), Name: m.Path, VersionInfo: v,
		DownloadLocation: noAssertion, LicenseDeclared: noAssertion, LicenseConcluded: noAssertion, CopyrightText: noAssertion,
		ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + url.PathEscape(v)}},
	}
	if m.Sum != "" {
		p.Comment = "go.sum " + m.Sum
	}
	return p
}

// spdxName is s of letters, digits, dots and hyphens, and of nothing else. Go
// modules whose paths differ otherwise only are told apart by the hyphens.
func spdxName(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			out.WriteRune(r)
		default:
			fmt.Fprintf(&out, "-%x-", r)
		}
	}
	return out.String()
}
