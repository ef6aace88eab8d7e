package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Up starts a lab that stays when this process ends, until Down. There is one
// lab per mesh name and user.
func Up(ctx context.Context, plan mesh.Plan, o Options) (*Lab, error) {
	dir, err := storeDir()
	if err != nil {
		return nil, err
	}
	f := filesOf(dir, plan.Mesh)
	lock, err := f.takeLock()
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("a lab of mesh %s is running already: end it with `usb4mesh lab down %s`", plan.Mesh, plan.Mesh)
	}
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the keeper has a descriptor of its own by then
	k, err := f.start(lock)
	if err != nil {
		return nil, errors.Join(err, f.remove())
	}
	l := &Lab{Plan: plan, dial: f.dial, close: func() error { return nil }}
	r := record{Mesh: plan.Mesh, Source: plan.Source, Engine: o.Engine, Since: time.Now()}
	if err = r.identify(k.cmd.Process.Pid); err == nil {
		err = f.writeRecord(r)
	}
	if err == nil {
		err = l.build(ctx, o)
	}
	if err != nil {
		err = k.explain(err)
		kill := k.cmd.Process.Kill()
		<-k.done
		if errors.Is(kill, os.ErrProcessDone) {
			kill = nil
		}
		return nil, errors.Join(err, kill, f.remove())
	}
	return l, nil
}

// start starts a detached keeper that listens on the lab's socket.
func (f files) start(lock *os.File) (*keeper, error) {
	if err := os.Remove(f.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lab: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	socket, err := listener.File()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	defer socket.Close()
	log, err := os.OpenFile(f.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	defer log.Close()
	k, err := startKeeper(detached, []*os.File{socket, lock, log})
	if k != nil {
		k.logFile = f.log
	}
	return k, err
}

func (f files) dial(ctx context.Context) (*net.UnixConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", f.socket)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// Attach returns the running lab of a mesh, or with "" the only one. Its Close
// leaves the lab running.
func Attach(ctx context.Context, mesh string) (*Lab, error) {
	mesh, err := pick(mesh)
	if err != nil {
		return nil, err
	}
	dir, err := storeDir()
	if err != nil {
		return nil, err
	}
	f := filesOf(dir, mesh)
	c, err := f.dial(ctx)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("mesh %s: %w", mesh, ErrNoLab)
	case errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("the lab of mesh %s has died: clean up with `usb4mesh lab down %s`; its log is %s", mesh, mesh, f.log)
	case err != nil:
		return nil, fmt.Errorf("lab of mesh %s: %w", mesh, err)
	}
	c.Close()
	return &Lab{dial: f.dial, close: func() error { return nil }}, nil
}

// Down ends the lab of a mesh ("": the only one) and removes what it, or a
// keeper that was killed, left. It returns the name of the mesh. ErrNoLab says
// that there was nothing to do.
func Down(ctx context.Context, mesh string) (string, error) {
	mesh, err := pick(mesh)
	if err != nil {
		return "", err
	}
	dir, err := storeDir()
	if err != nil {
		return mesh, err
	}
	f := filesOf(dir, mesh)
	if _, err := os.Lstat(f.lock); errors.Is(err, os.ErrNotExist) {
		return mesh, errors.Join(fmt.Errorf("mesh %s: %w", mesh, ErrNoLab), f.remove())
	}
	lock, err := f.takeLock()
	if errors.Is(err, errHeld) {
		lock, err = f.end(ctx)
	}
	if err != nil {
		return mesh, err
	}
	defer lock.Close()
	return mesh, f.remove()
}

// end ends a keeper that holds the lock: it is asked, and killed if it does not
// answer and is proven to be the lab's.
func (f files) end(ctx context.Context) (*os.File, error) {
	l := &Lab{dial: f.dial}
	asked, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	askErr := l.call(asked, opDown, nil, nil)
	if askErr == nil {
		if lock, err := f.waitLock(ctx); err == nil {
			return lock, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r, err := f.readRecord()
	if err != nil || !r.alive() {
		return nil, fmt.Errorf("something holds %s, but it does not answer (%w) and is not the process that started the lab: find it with `fuser %s`", f.lock, askErr, f.lock)
	}
	if err := unix.Kill(r.Pid, unix.SIGKILL); err != nil {
		return nil, fmt.Errorf("kill keeper %d: %w", r.Pid, err)
	}
	return f.waitLock(ctx)
}

func (f files) waitLock(ctx context.Context) (lock *os.File, err error) {
	err = poll(ctx, 10*time.Millisecond, 5*time.Second, func() (err error) {
		lock, err = f.takeLock()
		return err
	})
	return lock, err
}

// readTail returns the end of a log file.
func readTail(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	t := tail{limit: 4 << 10}
	_, _ = t.Write(b)
	return strings.TrimSpace(t.String())
}
