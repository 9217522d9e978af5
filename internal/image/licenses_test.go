package image

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// pluginPackage is a program that is passed on by itself.
const pluginPackage = programPackage + "/cmd/kubectl-torrent"

// refused are words of licenses and conditions that ask for more than to be
// passed on, also where they stand beside a license that does not.
var refused = []string{
	"general public license", "mozilla public license", "commons clause", "business source license", "server side public license",
	"all advertising materials", "commercial use", "noncommercial", "non-commercial",
}

// judge says what is wrong with the text of a license, "" if nothing is: all
// that are known here ask for no more than to be passed on.
func judge(text string) string {
	for _, words := range refused {
		if strings.Contains(plain(text), words) {
			return fmt.Sprintf("speaks of %q", words)
		}
	}
	if identify(text) == "" {
		return "is none of the licenses that are allowed"
	}
	return ""
}

func TestLicensesOfAllThatIsShippedAreAllowedAndPassedOn(t *testing.T) {
	all, err := Licenses(t.Context(), "linux/"+runtime.GOARCH, programPackage, imagePackage, pluginPackage)
	if err != nil {
		t.Fatal(err)
	}
	licensed := map[string]bool{}
	notices := string(Notices(all))
	for i := range all {
		l := &all[i]
		if !strings.Contains(notices, l.Module+" "+l.Version+", "+l.File+"\n") || !strings.Contains(notices, strings.TrimSpace(l.Text)) {
			t.Errorf("the notices lack %s of %s", l.File, l.Module)
		}
		if noticeFile.MatchString(l.File[strings.LastIndex(l.File, "/")+1:]) {
			continue
		}
		licensed[l.Module] = true
		if wrong := judge(l.Text); wrong != "" {
			t.Errorf("%s of %s %s", l.File, l.Module, wrong)
		}
	}
	if len(licensed) < 40 || !licensed[stdlib] || !licensed["golang.org/x/crypto/x509roots/fallback"] {
		t.Errorf("licenses of %d modules were found: %v", len(licensed), licensed)
	}
}

func TestLicensesThatAskForMoreAreFound(t *testing.T) {
	mit := "MIT License\n\n" + known[2].words
	for text, want := range map[string]string{
		mit:                           "",
		strings.ToUpper(mit):          "",
		mit + "\n\nCommons  Clause":   `speaks of "commons clause"`,
		"GNU General\nPublic License": `speaks of "general public license"`,
		"All rights reserved.":        "is none of the licenses that are allowed",
		bsd + "\n3. All advertising materials mentioning": `speaks of "all advertising materials"`,
	} {
		if got := judge(text); got != want {
			t.Errorf("%q %s, want %q", text, got, want)
		}
	}
	names := []string{"LICENSE", "LICENCE.txt", "license.md", "COPYING", "LICENSE.libyaml", "license.go", "LICENSES", "NOTICE"}
	if got := slices.DeleteFunc(names, func(n string) bool { return !licenseFile.MatchString(n) }); len(got) != 5 {
		t.Errorf("files of licenses are %v", got)
	}
}

func TestLicensesHaveTheNamesOfSPDX(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n Version 2.0, January 2004":         "Apache-2.0",
		bsd + ": ... " + bsdClause:                           "BSD-3-Clause",
		strings.ToUpper(bsd):                                 "BSD-2-Clause",
		known[2].words + "\n" + known[1].words:               "Apache-2.0 AND MIT",
		known[3].words:                                       "ISC",
		"You may do with it what you like, on Tuesdays only": "",
	} {
		if got := identify(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// A text that many have stands there once, with all of them.
func TestEachTextIsPassedOnOnce(t *testing.T) {
	got := string(Notices([]License{{Module: "a", Version: "v1", File: "LICENSE", Text: "one"}, {Module: "b", Version: "v2", File: "x/LICENSE", Text: "one"}}))
	if !strings.Contains(got, "\na v1, LICENSE\nb v2, x/LICENSE\n") || strings.Count(got, "\none\n") != 1 {
		t.Errorf("%s", got)
	}
}
