package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Command is something to run in a node.
type Command struct {
	Node string
	Argv []string
	Env  []string // of the command; nil for none
	Dir  string   // working directory, "" is /
}

type execArgs Command

// Exec runs a command in a node with the given standard streams, passes the
// signals from signals on to it and returns its exit code; 128 plus the number
// for a command that a signal ended, 127 for one that does not exist, as in a
// shell. When ctx ends the command is killed.
//
// The command has no controlling terminal, so a shell runs without job control.
func (l *Lab) Exec(ctx context.Context, c Command, streams [3]*os.File, signals <-chan os.Signal) (int, error) {
	conn, stop, err := l.request(ctx, opExec, execArgs(c), streams[:]...)
	if err != nil {
		return 0, err
	}
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				if n, ok := s.(syscall.Signal); ok {
					_ = conn.send(note{Signal: int(n)}) // too late is no error
				}
			case <-done:
				return
			}
		}
	}()
	var code int
	err = conn.result(ctx, &code)
	return code, err
}

func (w *world) exec(ctx context.Context, s *session, a execArgs) (int, error) {
	n, err := w.inhabited(a.Node)
	if err != nil {
		return 0, err
	}
	if len(a.Argv) == 0 {
		return 0, errors.New("no command to run")
	}
	if len(s.files) != maxFiles {
		return 0, fmt.Errorf("%d streams came with the command instead of %d", len(s.files), maxFiles)
	}
	cmd := exec.CommandContext(ctx, a.Argv[0], a.Argv[1:]...)
	cmd.Env = append(a.Env, "USB4MESH_NODE="+a.Node)
	cmd.Dir = a.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.files[0], s.files[1], s.files[2]
	p, err := n.Start(cmd)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(s.files[2], err)
		return 127, nil
	}
	if err != nil {
		return 0, err
	}
	for {
		select {
		case note, open := <-s.notes:
			if !open {
				// The client hung up: ctx is about to end the command.
				_ = p.End(time.Second)
				return 0, context.Canceled
			}
			if note.Signal > 0 {
				_ = p.Signal(syscall.Signal(note.Signal))
			}
		case <-p.Done():
			return exitCode(p.Wait())
		}
	}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
