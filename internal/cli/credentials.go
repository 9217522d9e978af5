package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// maxCredential is the most that a file of headers or certificates may hold.
const maxCredential = 1 << 20

// credentials reads the files that --headers and --ca-bundle name, each as
// ORIGIN=FILE.
func credentials(headers, bundles []string) ([]download.Credential, error) {
	given := map[string]download.Credential{}
	for _, arg := range headers {
		c, b, err := credential("--headers", arg, given)
		if err != nil {
			return nil, err
		}
		lines := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.TrimSpace(b), "\r\n\r\n"...))))
		fields, err := lines.ReadMIMEHeader()
		if err != nil || len(fields) == 0 { // The error would tell what the file holds.
			return nil, fail(exitFiles, "--headers for %s: the file must hold one header a line, such as Authorization: Bearer TOKEN", c.Origin)
		}
		c.Headers = map[string]string{}
		for name, values := range fields {
			c.Headers[name] = values[0]
		}
		given[c.Origin] = c
	}
	for _, arg := range bundles {
		c, b, err := credential("--ca-bundle", arg, given)
		if err != nil {
			return nil, err
		}
		c.CABundle = b
		given[c.Origin] = c
	}
	return slices.SortedFunc(maps.Values(given), func(a, b download.Credential) int { return strings.Compare(a.Origin, b.Origin) }), nil
}

// credential takes a flag's value apart and reads its file. It returns what is
// given for its origin so far.
func credential(flag, arg string, given map[string]download.Credential) (download.Credential, []byte, error) {
	origin, file, ok := strings.Cut(arg, "=")
	u, err := url.Parse(origin)
	if !ok || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host {
		return download.Credential{}, nil, fail(exitUsage, "%s must be ORIGIN=FILE, such as https://tracker.example.org=FILE", flag)
	}
	f, err := os.Open(file)
	if err != nil {
		return download.Credential{}, nil, fileError("read", file, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	if err == nil && len(b) > maxCredential {
		err = fmt.Errorf("it has more than %d bytes", maxCredential)
	}
	if err != nil {
		return download.Credential{}, nil, fileError("read", file, err)
	}
	c := given[origin]
	c.Origin = origin
	return c, b, nil
}
