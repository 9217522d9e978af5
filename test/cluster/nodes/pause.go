package nodes

import (
	"os"
	"runtime"

	"github.com/torrent-operator/torrent-operator/internal/image"
)

// pauseImage is the name of the image that holds the namespaces of a Pod.
const pauseImage = "localhost/pause:test"

// writePause writes an archive of that image, in which a program runs.
func writePause(archive, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := image.Write(f, pauseImage, image.Image{
		Platform: image.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   image.Config{User: "65535:65535", Entrypoint: []string{"/init", "pause"}},
		Files:    []image.File{{Path: "init", Executable: true, Content: content}},
	}); err != nil {
		return err
	}
	return f.Close()
}
