// Package process runs the torrent-operator command as a real process and
// holds it to what only a process can show: that it may be killed at any
// instant, how much memory it needs, and what it says to a shell.
//
// Its peers are a few hundred lines that speak the wire protocol themselves,
// so that they know to the block what was asked of them, and by which run.
package process
