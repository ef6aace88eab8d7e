package lab

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processes starts the keeper's children and, since the keeper is process 1 of
// its pid namespace, buries the orphans that others leave behind. Children
// started here are waited for by os/exec; only strangers are reaped.
type processes struct {
	mu    sync.Mutex // held while a child is started and while the dead are looked at
	known map[int]struct{}
}

func newProcesses() *processes { return &processes{known: map[int]struct{}{}} }

// Process is a command started in a node.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// start starts cmd as the leader of a process group of its own.
func (p *processes) start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if cmd.Cancel != nil { // made by exec.CommandContext
		cmd.Cancel = func() error { return killGroup(cmd.Process.Pid, unix.SIGKILL) }
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = 2 * time.Second
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	p.known[pid] = struct{}{}
	c := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		p.mu.Lock()
		delete(p.known, pid)
		p.mu.Unlock()
		close(c.done)
	}()
	return c, nil
}

// Pid returns the process id, as the keeper's pid namespace counts.
func (c *Process) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the process has ended.
func (c *Process) Done() <-chan struct{} { return c.done }

// Wait waits for the end and returns what exec.Cmd.Wait said.
func (c *Process) Wait() error { <-c.done; return c.err }

// Signal sends a signal to the process and all its descendants that did not
// leave its group.
func (c *Process) Signal(s syscall.Signal) error {
	select {
	case <-c.done:
		return nil
	default:
		return killGroup(c.Pid(), s)
	}
}

// End asks the process to end, and after grace ends it.
func (c *Process) End(grace time.Duration) error {
	err := c.Signal(unix.SIGTERM)
	select {
	case <-c.done:
		return err
	case <-time.After(grace):
	}
	err = errors.Join(err, c.Signal(unix.SIGKILL))
	<-c.done
	return err
}

func killGroup(pid int, s syscall.Signal) error {
	if err := unix.Kill(-pid, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// reap buries orphans for as long as the keeper lives.
func (p *processes) reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	for range ended {
		p.bury()
	}
}

// bury collects dead children that nobody here started. It looks for them in
// /proc, because wait4(-1) would also take the children os/exec waits for.
func (p *processes) bury() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, ours := p.known[pid]; ours || !isZombieOf(pid, os.Getpid()) {
			continue
		}
		var status unix.WaitStatus
		_, _ = unix.Wait4(pid, &status, unix.WNOHANG, nil) // gone already is as good
	}
}

// isZombieOf reads /proc/PID/stat: pid (comm) state ppid ..., proc(5). The name
// may contain anything, so fields are counted from its closing parenthesis.
func isZombieOf(pid, parent int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := cutLast(string(stat), ") ")
	f := strings.Fields(rest)
	return len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(parent)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
