package liveness

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownNamespace is the network namespace of the calling thread, for "open".
const ownNamespace = "/proc/thread-self/ns/net"

// namespace is a network namespace. It is closed when it is not needed any more.
type namespace struct{ *os.File }

// callers returns the network namespace of the calling thread.
func callers() (namespace, error) {
	f, err := os.Open(ownNamespace)
	return namespace{f}, err
}

// within runs f on a thread in the namespace: on this one if it is there, as it is where a
// process has but one namespace, else on another, which ends with f.
func (n namespace) within(f func()) error {
	runtime.LockOSThread()
	here, err := n.here()
	if here {
		f()
	}
	runtime.UnlockOSThread()
	if here || err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		err := n.enter()
		if err == nil {
			f()
		}
		done <- err
	}()
	return <-done
}

// enter moves the calling thread into the namespace.
func (n namespace) enter() error {
	here, err := n.here()
	if here || err != nil {
		return err
	}
	if err := unix.Setns(int(n.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace of the caller: %w", err)
	}
	return nil
}

// here tells whether the calling thread is in the namespace.
func (n namespace) here() (bool, error) {
	var want, have unix.Stat_t
	if err := unix.Fstat(int(n.Fd()), &want); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	if err := unix.Stat(ownNamespace, &have); err != nil {
		return false, &os.PathError{Op: "stat", Path: ownNamespace, Err: err}
	}
	return want.Dev == have.Dev && want.Ino == have.Ino, nil
}
