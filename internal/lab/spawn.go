package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// KeeperArgs are the arguments by which this program becomes a keeper; whoever
// has a main function calls KeeperMain when it is started with them.
func KeeperArgs() []string { return []string{"lab", "keeper"} }

// attached keepers end with the process that started them; detached ones listen
// on a socket and stay.
type keeperMode string

const (
	attached keeperMode = "attached"
	detached keeperMode = "detached"
)

// modeVariable tells the keeper its mode and what its inherited descriptors are.
const modeVariable = "USB4MESH_LAB_KEEPER"

// keeper is the started process, seen from its parent.
type keeper struct {
	cmd     *exec.Cmd
	control *net.UnixConn // attached: new connections are passed through it
	log     *tail
	logFile string        // detached: where it writes instead
	done    chan struct{} // closed when the process has been reaped
	err     error         // of Wait, once done is closed
}

// startKeeper starts this program again as a keeper in namespaces of its own.
// Detached, files are the listening socket, the lock and the log.
func startKeeper(mode keeperMode, files []*os.File) (*keeper, error) {
	k := &keeper{log: &tail{limit: 16 << 10}, done: make(chan struct{})}
	k.cmd = exec.Command("/proc/self/exe", KeeperArgs()...)
	k.cmd.Args[0] = os.Args[0] // what ps shows
	k.cmd.Dir = "/"            // a lab that stays must not hold a mount
	k.cmd.Env = append(os.Environ(), modeVariable+"="+string(mode))
	k.cmd.SysProcAttr = keeperAttributes()
	if mode == attached {
		ours, theirs, err := socketPair()
		if err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
		defer theirs.Close()
		k.control, files = ours, []*os.File{theirs}
		k.cmd.Stderr = k.log
		k.cmd.WaitDelay = time.Second
	} else {
		last := len(files) - 1
		k.cmd.Stderr, files = files[last], files[:last]
	}
	k.cmd.ExtraFiles = files
	if err := k.cmd.Start(); err != nil {
		if k.control != nil {
			k.control.Close()
		}
		return nil, namespaceError(err)
	}
	go func() {
		k.err = k.cmd.Wait()
		close(k.done)
	}()
	return k, nil
}

// keeperAttributes asks clone(2) for the namespaces of a lab. Without root a
// user namespace comes with them, in which the user is root.
func keeperAttributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		// A session of its own, so that Ctrl-C reaches only the driver, which
		// then ends the keeper in order.
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
	}
	if uid := os.Geteuid(); uid != 0 {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return a
}

// namespaceError says what to do when the kernel refuses namespaces.
func namespaceError(err error) error {
	switch {
	case os.Geteuid() == 0 && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("lab: the kernel refuses new namespaces although this is root (%w): "+
			"in a container, give it CAP_SYS_ADMIN (docker run --privileged)", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fmt.Errorf("lab: the kernel refuses a user namespace (%w): %s", err, userNamespaceHint)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("lab: this kernel lacks user, pid or network namespaces (%w)", err)
	}
	return fmt.Errorf("lab: start keeper: %w", err)
}

// userNamespaceHint names the switches by which distributions turn user
// namespaces off: Debian's own, the kernel's limit, Ubuntu's AppArmor rule.
const userNamespaceHint = "run as root, or switch unprivileged user namespaces on with one of " +
	"`sysctl kernel.unprivileged_userns_clone=1`, `sysctl user.max_user_namespaces=10000`, " +
	"`sysctl kernel.apparmor_restrict_unprivileged_userns=0`"

// dial opens a connection to an attached keeper: a fresh socket pair, one end of
// which is passed over the control socket.
func (k *keeper) dial(context.Context) (*net.UnixConn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	_, _, err = k.control.WriteMsgUnix([]byte{0}, unix.UnixRights(int(theirs.Fd())), nil)
	if err != nil {
		ours.Close()
		return nil, k.explain(err)
	}
	return ours, nil
}

// stop ends an attached keeper by closing its control socket and waits for it;
// a keeper that does not go is killed.
func (k *keeper) stop() error {
	k.control.Close()
	select {
	case <-k.done:
		return nil
	case <-time.After(5 * time.Second):
	}
	if err := k.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("lab: kill keeper %d: %w", k.cmd.Process.Pid, err)
	}
	<-k.done
	return nil
}

// explain adds what the keeper said before it died, if it died.
func (k *keeper) explain(err error) error {
	select {
	case <-k.done:
	case <-time.After(100 * time.Millisecond):
		return err
	}
	said := strings.TrimSpace(k.log.String())
	if k.logFile != "" {
		said = readTail(k.logFile)
	}
	if said != "" {
		return errors.New(said)
	}
	if k.err != nil {
		return fmt.Errorf("the lab keeper died (%w): %w", k.err, err)
	}
	return err
}

// socketPair returns one end for this process and one to pass on.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	u, err := unixConn(os.NewFile(uintptr(fds[0]), "ours"))
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return u, theirs, nil
}

// unixConn turns a socket's file into a connection; f is closed either way.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s is not a unix socket", f.Name())
	}
	return u, nil
}

// tail keeps the last bytes written to it.
type tail struct {
	mu    sync.Mutex
	limit int
	b     []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - t.limit; over > 0 {
		t.b = bytes.Clone(t.b[over:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
