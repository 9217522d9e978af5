// Command tool is what the tests on a cluster run in Pods besides the operator:
// it makes and compares content, fills volumes, and asks and answers over HTTP.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// timeout bounds a request.
const timeout = 10 * time.Second

// commands do one thing each, with the arguments that usage tells.
var commands = map[string]struct {
	usage string
	args  int
	run   func(args []string) error
}{
	"content": {"FOLDER NAME BYTES: write files of so many bytes together, which NAME decides, below FOLDER/NAME", 3, content},
	"sum":     {"FOLDER: print a hash of each file below", 1, sum},
	"fill":    {"FILE BYTES: write so much, and print how much it was in the end", 2, fill},
	"get":     {"URL: print the answer", 1, get},
	"denied":  {"URL: ask again and again, until there is no answer", 1, denied},
	"serve":   {"ADDRESS TEXT: answer all requests with TEXT", 2, serve},
	"sell":    {"ADDRESS FOLDER: over TLS with FOLDER/tls.crt and tls.key, answer with FOLDER/content those whose header Authorization is FOLDER/authorization", 2, sell},
	"eat":     {"BYTES: take so much memory, and wait for the end", 1, eat},
	"hold":    {"wait for the end", 0, hold},
}

func main() {
	if len(os.Args) > 1 {
		if c, ok := commands[os.Args[1]]; ok && len(os.Args)-2 == c.args {
			if err := c.run(os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "tool %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	for name, c := range commands {
		fmt.Fprintln(os.Stderr, "tool", name, c.usage)
	}
	os.Exit(2)
}

func content(args []string) error {
	folder, name := args[0], args[1]
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	random := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	for _, part := range []struct {
		path string
		size int64
	}{{"data", size - size/3}, {"below/more", size / 3}} {
		path := filepath.Join(folder, name, part.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := write(path, io.LimitReader(random, part.size)); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, from io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	return f.Sync()
}

func sum(args []string) error {
	return filepath.WalkDir(args[0], func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		hash := sha256.New()
		if _, err := io.Copy(hash, f); err != nil {
			return err
		}
		name, err := filepath.Rel(args[0], path)
		fmt.Printf("%x %s\n", hash.Sum(nil), name)
		return err
	})
}

func fill(args []string) error {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	err = write(args[0], io.LimitReader(rand.NewChaCha8([32]byte{}), size))
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	at, err := os.Stat(args[0])
	if err != nil {
		return err
	}
	fmt.Println(at.Size())
	return nil
}

func get(args []string) error {
	client := http.Client{Timeout: timeout}
	answer, err := client.Get(args[0]) //nolint:noctx // it has a timeout
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

// denied gives up asking when nobody answers, not even with a refusal.
func denied(args []string) error {
	client := http.Client{Timeout: timeout / 4, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		answer, err := client.Get(args[0]) //nolint:noctx // it has a timeout
		var late interface{ Timeout() bool }
		switch {
		case err == nil:
			answer.Body.Close()
		case errors.As(err, &late) && late.Timeout():
			return nil
		}
		time.Sleep(timeout / 100)
	}
}

func serve(args []string) error {
	return answer(args[0], func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, args[1]) // Who went away needs no answer.
	}, (*http.Server).ListenAndServe)
}

func sell(args []string) error {
	file := func(name string) string { return filepath.Join(args[1], name) }
	word, err := os.ReadFile(file("authorization"))
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file("content"))
	if err != nil {
		return err
	}
	return answer(args[0], func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != string(word) {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		_, _ = w.Write(content)
	}, func(s *http.Server) error { return s.ListenAndServeTLS(file("tls.crt"), file("tls.key")) })
}

// answer answers requests until the end of this process is asked for.
func answer(address string, handler http.HandlerFunc, listen func(*http.Server) error) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: timeout, Handler: handler}
	go func() {
		_ = hold(nil)
		server.Close()
	}()
	if err := listen(server); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func eat(args []string) error {
	size, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	taken := make([]byte, size)
	for i := 0; i < len(taken); i += os.Getpagesize() {
		taken[i] = 1
	}
	err = hold(nil)
	runtime.KeepAlive(taken)
	return err
}

func hold([]string) error {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	return nil
}
