package worker

import (
	"bytes"
	"os"

	"github.com/torrent-operator/torrent-operator/internal/report"
)

// ResultFile is the path of the file that becomes the termination message.
type ResultFile string

// Leave writes a result in the place of the one before. It is one write of
// [report.MaxResult] bytes, the rest of which are spaces: whenever the process
// is killed, the file holds a whole result.
func (f ResultFile) Leave(r report.Result) error {
	b := report.EncodeResult(r)
	b = append(b, bytes.Repeat([]byte(" "), report.MaxResult-len(b))...)
	file, err := os.OpenFile(string(f), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(b, 0); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
