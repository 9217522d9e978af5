package main

import (
	"strconv"
	"strings"

	"github.com/torrent-operator/torrent-operator/bench/rig"
)

// command is our own command, as it is shipped.
type command struct {
	program string
	more    []string // Flags besides the defaults.
}

func (command) Name() string    { return ours }
func (command) Version() string { return "this tree" }
func (c command) Settings() string {
	return strings.Join(append([]string{"the shipped defaults, without DHT"}, c.more...), " ")
}

func (c command) Leech(j rig.Job) (rig.Command, error) {
	args := []string{c.program, "download", j.Torrent.File, "--output", j.Dir, "--port", strconv.Itoa(j.Port), "--dht=false"}
	return rig.Command{
		Args:     append(args, c.more...),
		Verified: says("Finishing", "Complete"),
		Durable:  says("Complete"),
	}, nil
}

func (c command) Seed(j rig.Job) (rig.Command, error) {
	cmd, err := c.Leech(j)
	cmd.Args = append(cmd.Args, "--seed")
	cmd.Verified, cmd.Durable = says("Seeding"), nil
	return cmd, err
}

// says matches lines that begin with one of the words.
func says(words ...string) func(string) bool {
	return func(line string) bool {
		for _, w := range words {
			if strings.HasPrefix(line, w) {
				return true
			}
		}
		return false
	}
}

// bare is the floor program.
type bare struct{ self string }

func (bare) Name() string    { return floor }
func (bare) Version() string { return "this tree" }
func (bare) Settings() string {
	return "socket to buffer, SHA-1, pwrite, and no more protocol than that takes"
}

func (c bare) Leech(j rig.Job) (rig.Command, error) {
	return rig.Command{
		Args:     []string{c.self, "floor", j.Torrent.File, "--output", j.Dir, "--listen", address(j), "--seeders", strconv.Itoa(j.Peers)},
		Verified: says("verified"),
	}, nil
}

func (c bare) Seed(j rig.Job) (rig.Command, error) {
	return rig.Command{
		Args:     []string{c.self, "seeder", j.Torrent.File, "--payload", j.Dir, "--listen", address(j)},
		Verified: says("serving"),
	}, nil
}
