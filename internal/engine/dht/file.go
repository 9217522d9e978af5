package dht

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readFile reads what an earlier run has kept. A file that is not there, or is
// something else, is as good as none.
func readFile(name string, port int) (State, error) {
	st, err := os.Stat(name)
	if err == nil && st.Size() > maxState {
		err = fmt.Errorf("it has %d bytes, more than %d", st.Size(), maxState)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	} else if err != nil {
		return State{}, fmt.Errorf("reading the known nodes of the DHT: %w", err)
	}
	return parseState(b, port)
}

// writeFile keeps a state for the next run, whole or not at all.
func writeFile(name string, s State, port int) error {
	err := os.MkdirAll(filepath.Dir(name), 0o700)
	if err == nil {
		err = replaceFile(name, s.append(port))
	}
	if err != nil {
		return fmt.Errorf("keeping the known nodes of the DHT for the next start: %w", err)
	}
	return nil
}

func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name()) // It is of no use.
	}
	return err
}
