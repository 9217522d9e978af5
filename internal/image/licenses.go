package image

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// License is a text that has to be passed on with a program.
type License struct {
	Module, Version string // Whose it is.
	File            string // Where it lies, from the module's folder on.
	ID              string // As SPDX calls it; "" if it is none that is known here, or a notice.
	Text            string
}

// stdlib is what the modules of a program call Go itself.
const stdlib = "stdlib"

// Packages of this module: what the image consists of is the program and the
// certificates, which package image has from a module.
const (
	programPackage = "github.com/torrent-operator/torrent-operator"
	imagePackage   = programPackage + "/internal/image"
)

// known are licenses by words that no other one has, all lower case and with
// single spaces.
var known = []struct{ id, words string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"Apache-2.0", "licensed under the apache license, version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
}

// The two licenses of BSD differ by one clause.
const (
	bsd       = "redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met"
	bsdClause = "used to endorse or promote products derived from"
)

// licenseFile and noticeFile are what files are called that hold a license, and
// what it asks to be passed on with it (Apache-2.0, section 4).
var (
	licenseFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying)([.-](txt|md|mit|bsd|libyaml|apache))?$`)
	noticeFile  = regexp.MustCompile(`(?i)^notice([.-](txt|md))?$`)
)

// plain is text as known has words.
func plain(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// identify returns what SPDX calls the licenses of a text, "" if it is none of
// the known ones.
func identify(text string) string {
	text = plain(text)
	var ids []string
	for _, k := range known {
		if strings.Contains(text, k.words) && !slices.Contains(ids, k.id) {
			ids = append(ids, k.id)
		}
	}
	switch {
	case strings.Contains(text, bsd) && strings.Contains(text, bsdClause):
		ids = append(ids, "BSD-3-Clause")
	case strings.Contains(text, bsd):
		ids = append(ids, "BSD-2-Clause")
	}
	return strings.Join(ids, " AND ")
}

// Licenses reads the licenses and notices of Go and of all modules of others
// that some packages consist of, on a platform such as linux/amd64: those of
// each module, and of folders within it that packages come from. They are in
// the order of modules and files. The working directory lies in this module.
func Licenses(ctx context.Context, platform string, packages ...string) ([]License, error) {
	system, architecture, _ := strings.Cut(platform, "/")
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
		var problem bytes.Buffer
		cmd.Stderr = &problem
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go %s: %w: %s", args[0], err, problem.String())
		}
		return strings.TrimSpace(string(out)), nil
	}
	goRoot, err := run("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	all, err := licensesIn(goRoot, "", License{Module: stdlib, Version: "of Go"})
	if err != nil {
		return nil, err
	}
	list, err := run(append([]string{
		"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}",
	}, packages...)...)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{} // Folders, each with those above it.
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 { // A package of Go itself, or one of ours.
			continue
		}
		top, dir := f[2], f[3]
		for ; !seen[dir] && (dir == top || strings.HasPrefix(dir, top+string(filepath.Separator))); dir = filepath.Dir(dir) {
			seen[dir] = true
			some, err := licensesIn(top, dir[len(top):], License{Module: f[0], Version: f[1]})
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
	}
	slices.SortFunc(all, func(a, b License) int { return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.File, b.File)) })
	return all, nil
}

// licensesIn reads those of one folder of a module.
func licensesIn(top, below string, of License) (all []License, err error) {
	entries, err := os.ReadDir(top + below)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) && !noticeFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(top, below, e.Name()))
		if err != nil {
			return nil, err
		}
		of.File, of.Text, of.ID = strings.TrimPrefix(filepath.ToSlash(filepath.Join(below, e.Name())), "/"), string(text), ""
		if licenseFile.MatchString(e.Name()) {
			of.ID = identify(of.Text)
		}
		all = append(all, of)
	}
	return all, nil
}

// Notices is the text that is passed on with a program: all of these licenses,
// each text once, with whose it is.
func Notices(all []License) []byte {
	var texts []string
	whose := map[string][]string{}
	for i := range all {
		l := &all[i]
		if whose[l.Text] == nil {
			texts = append(texts, l.Text)
		}
		whose[l.Text] = append(whose[l.Text], l.Module+" "+l.Version+", "+l.File)
	}
	rule := strings.Repeat("-", 78) + "\n"
	var out bytes.Buffer
	out.WriteString("torrent-operator is licensed under Apache-2.0, and contains software of others.\nThese are their licenses and notices.\n")
	for _, text := range texts {
		fmt.Fprintf(&out, "\n%s%s\n%s\n%s\n", rule, strings.Join(whose[text], "\n"), rule, strings.TrimSpace(text))
	}
	return out.Bytes()
}

// declared is what SPDX says of the licenses of a module.
func declared(all []License, module string) string {
	var ids []string
	for i := range all {
		if l := &all[i]; l.Module == module && l.ID != "" {
			for id := range strings.SplitSeq(l.ID, " AND ") {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	slices.Sort(ids)
	return cmp.Or(strings.Join(ids, " AND "), noAssertion)
}
