package machine

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// pause is how long a service that has ended stays away.
const pause = time.Second

// keepRunning starts the services, and starts them again when they end. As the
// first process of its namespace it also inherits all orphans, and buries
// them. SIGUSR1 kills the kubelet and keeps it from running, SIGUSR2 lets it
// run again.
func keepRunning(services []Service) error {
	told := make(chan os.Signal, 16)
	signal.Notify(told, unix.SIGCHLD, unix.SIGUSR1, unix.SIGUSR2)
	running := map[int]*Service{}
	for i := range services {
		if err := services[i].start(running); err != nil {
			return err
		}
	}
	due := make(chan *Service, len(services)) // to be started again
	held, waits := false, false               // the kubelet; and whether it is to run when let go
	for {
		select {
		case sig := <-told:
			switch sig {
			case unix.SIGUSR1:
				held = true
				for pid, s := range running {
					if s.Name == Kubelet {
						_ = unix.Kill(pid, unix.SIGKILL)
					}
				}
				continue
			case unix.SIGUSR2:
				held = false
				if waits {
					waits = false
					for i := range services {
						if services[i].Name == Kubelet {
							due <- &services[i]
						}
					}
				}
				continue
			}
			for _, ended := range bury(running) {
				time.AfterFunc(pause, func() { due <- ended })
			}
		case s := <-due:
			if s.Name == Kubelet && held {
				waits = true
				continue
			}
			if err := s.start(running); err != nil {
				return err
			}
		}
	}
}

// bury waits for all children that have ended and returns those of them that
// are services.
func bury(running map[int]*Service) []*Service {
	var ended []*Service
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid <= 0:
			return ended
		}
		if s := running[pid]; s != nil {
			delete(running, pid)
			fmt.Printf("%s ended: code %d, signal %d\n", s.Name, status.ExitStatus(), status.Signal())
			ended = append(ended, s)
		}
	}
}

func (s *Service) start(running map[int]*Service) error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer nothing.Close()
	p, err := os.StartProcess(s.Args[0], s.Args, &os.ProcAttr{
		Env:   append(os.Environ(), s.Env...),
		Files: []*os.File{nothing, log, log},
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	running[p.Pid] = s
	return p.Release()
}
