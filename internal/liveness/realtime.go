package liveness

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// priority is that of the real-time thread: above everything that is not real-time, below
// what others have reason to put there (interrupt threads have 50).
const priority = 10

// spare is how many goroutines a process with a real-time thread may run at once, at
// least. The thread needs one of Go's processors each time it wakes, and those that
// ordinary threads have do not come back while the kernel lets other programs run: with
// as many as cores, two unlucky threads on two cores keep it out for tens of milliseconds.
const spare = 8

// realTime makes the calling thread one of SCHED_FIFO. Its children are ordinary ones.
// It takes CAP_SYS_NICE or a limit RLIMIT_RTPRIO.
func realTime() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size:     unix.SizeofSchedAttr,
		Policy:   unix.SCHED_FIFO,
		Flags:    unix.SCHED_FLAG_RESET_ON_FORK,
		Priority: priority,
	}, 0)
	if err != nil {
		return fmt.Errorf("no real-time thread (CAP_SYS_NICE, or LimitRTPRIO=%d in the systemd unit): %w", priority, err)
	}
	if runtime.GOMAXPROCS(0) < spare {
		runtime.GOMAXPROCS(spare)
	}
	return nil
}

// namespace names the network namespace of the calling thread.
func namespace() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// enter moves the calling thread into a network namespace, unless it is there.
func enter(ns *os.File) error {
	var want, have unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &want); err != nil {
		return err
	}
	if err := unix.Stat("/proc/thread-self/ns/net", &have); err != nil {
		return err
	}
	if want.Dev == have.Dev && want.Ino == have.Ino {
		return nil
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace of the caller: %w", err)
	}
	return nil
}
