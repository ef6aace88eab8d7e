package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endGrace is how long a program may take to end by itself when it is told to.
const endGrace = 2 * time.Second

// maxSaid is how much of what a program says is kept.
const maxSaid = 4 << 10

// runSelf runs this very program until it ends or ctx does. It has none of this
// process's capabilities, none of its environment, is the first to go when memory runs
// out, and does not outlive this process, however that ends. The error holds what it said.
func runSelf(ctx context.Context, args []string, in *os.File, out io.Writer) error {
	done := make(chan error, 1)
	go freshThread(func() {
		if err := dropRights(); err != nil {
			done <- err
			return
		}
		// The file may have been replaced by a newer one; this is the one that runs.
		cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
		cmd.Args[0] = os.Args[0] // what ps shows
		cmd.Env = []string{}
		cmd.Dir = "/"
		cmd.WaitDelay = endGrace
		// The signal comes when the thread ends that started it: this one, which waits.
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
		if in != nil {
			cmd.Stdin = in
		}
		said := &tail{limit: maxSaid}
		cmd.Stdout, cmd.Stderr = out, said
		err := cmd.Start()
		if err == nil {
			_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("500"), 0) // or as the agent
			err = cmd.Wait()
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if text := strings.TrimPrefix(strings.TrimSpace(said.String()), "usb4mesh: "); text != "" {
				err = errors.New(text)
			}
		}
		done <- err
	})
	return <-done
}

// freshThread runs f on a thread that nothing else runs on, and that ends with f. The
// main thread is none of these: it can't end, and it is what /proc shows of the process.
func freshThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		ended := make(chan struct{})
		go func() { defer close(ended); freshThread(f) }() // this thread is taken, so on another
		<-ended
		runtime.UnlockOSThread()
		return
	}
	f() // the thread stays locked: the runtime ends it with this goroutine
}

// dropRights takes all capabilities from what this thread executes from now on
// (capabilities(7), "Transformation of capabilities during execve"): nothing ambient,
// nothing for being root, nothing from the file.
func dropRights() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	if unix.Geteuid() == 0 {
		// linux/securebits.h: SECBIT_NOROOT, and locked
		if err := unix.Prctl(unix.PR_SET_SECUREBITS, 1|2, 0, 0, 0); err != nil {
			return fmt.Errorf("drop the capabilities of root: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new rights: %w", err)
	}
	return nil
}

// tail keeps the last bytes written to it: the reason stands at the end.
type tail struct {
	text  []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - t.limit; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
