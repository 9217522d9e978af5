package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shipped are the programs that others get, and what lies beside them in the
// image.
var shipped = []string{".", "./cmd/kubectl-torrent", "./internal/image"}

// allowed are the licenses that what is shipped may have, by words of theirs
// that no other one has. They ask for no more than to be passed on.
var allowed = map[string]string{
	"Apache-2.0":             "apache license version 2.0, january 2004",
	"Apache-2.0, by its URL": "licensed under the apache license, version 2.0",
	"MIT":                    "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files",
	"BSD":                    "redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met",
	"ISC":                    "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted",
}

// refused are words of licenses and conditions that ask for more, also where
// they stand beside those of an allowed one.
var refused = []string{
	"general public license", "mozilla public license", "commons clause", "business source license", "server side public license",
	"all advertising materials", "commercial use", "noncommercial", "non-commercial",
}

// licenseFile is what files that hold a license are called.
var licenseFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying)([.-](txt|md|mit|bsd|libyaml|apache))?$`)

// judge says what is wrong with the text of a license, "" if nothing is.
func judge(text string) string {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	for _, words := range refused {
		if strings.Contains(text, words) {
			return fmt.Sprintf("speaks of %q", words)
		}
	}
	for _, words := range allowed {
		if strings.Contains(text, words) {
			return ""
		}
	}
	return "is none of the licenses that are allowed"
}

// licensed reads the licenses in a folder, and says whether there are any.
func licensed(t *testing.T, dir string) (found bool) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) {
			continue
		}
		found = true
		file := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := judge(string(text)); wrong != "" {
			t.Errorf("%s %s", file, wrong)
		}
	}
	return found
}

// TestLicensesOfAllThatIsShippedAreAllowed reads those of each module, and of
// folders within it that packages come from.
func TestLicensesOfAllThatIsShippedAreAllowed(t *testing.T) {
	out, err := goList(append([]string{"-deps", "-f", "{{with .Module}}{{.Dir}}\t{{$.Dir}}{{end}}"}, shipped...)...)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{} // The folders, and whether a license lies there.
	for line := range strings.Lines(out) {
		top, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok { // A package of Go itself, which is BSD.
			continue
		}
		for ; strings.HasPrefix(dir, top); dir = filepath.Dir(dir) {
			if _, ok := read[dir]; ok {
				break // With all that is above it.
			}
			read[dir] = licensed(t, dir)
		}
		if !read[top] {
			t.Errorf("%s has no license", top)
			read[top] = true // Said once.
		}
	}
	if len(read) < 100 {
		t.Errorf("only %d folders were looked at", len(read))
	}
}

func TestLicensesThatAskForMoreAreFound(t *testing.T) {
	mit := "MIT License\n\n" + allowed["MIT"]
	for text, want := range map[string]string{
		mit:                           "",
		strings.ToUpper(mit):          "",
		mit + "\n\nCommons  Clause":   `speaks of "commons clause"`,
		"GNU General\nPublic License": `speaks of "general public license"`,
		"All rights reserved.":        "is none of the licenses that are allowed",
		allowed["BSD"] + "\n3. All advertising materials mentioning": `speaks of "all advertising materials"`,
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
