// Package rig holds what a measured run is made of: payloads and their
// torrents, the processes of clients and light peers with what they cost, and
// the seam behind which every client looks the same.
package rig

// Torrent is a payload and the metainfo file that describes it.
type Torrent struct {
	File        string   // The .torrent file.
	Name        string   // The name of the file or folder that it describes.
	Dir         string   // The folder that holds the payload under its name.
	InfoHash    [20]byte // BEP 3.
	PieceLength int64    // Bytes.
	Length      int64    // Bytes of all files.
	Repeat      int64    // If not zero, only so many bytes are in Dir: see [Payload].
}

// Job is what a client is asked to do.
type Job struct {
	Torrent *Torrent
	Dir     string // Receives the payload; for a seeder, holds all of it.
	Scratch string // An empty folder for settings and state.
	Host    string // The address to listen on for peers, such as 127.0.0.1.
	Port    int    // The TCP port to listen on for peers. Peers will dial it.
	Peers   int    // How many light peers will dial it, a crowd not counted.
}

// Command is a program that carries a job out, and how to tell from its
// standard output (and standard error, which is joined to it) how far it is.
// It runs until it ends by itself or gets SIGTERM.
type Command struct {
	Args []string // The program and its arguments.
	Env  []string // Added to the environment.

	// Verified says whether a line means that the last piece was verified.
	// Of a seeder: that all of the payload is there and it serves.
	Verified func(line string) bool
	// Durable says whether a line means that every byte is on stable
	// storage. Nil if the client never tells.
	Durable func(line string) bool
}

// Client is a BitTorrent client under measurement.
type Client interface {
	Name() string     // As in tables: "libtorrent, tuned".
	Version() string  // Such as "2.0.8".
	Settings() string // What was set to make it fast and why, in one line, for the document.
	Leech(Job) (Command, error)
	Seed(Job) (Command, error)
}
