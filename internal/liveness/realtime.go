package liveness

import (
	"fmt"
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

// pair is how many goroutines any process may run at once, at least. Where a machine has
// one core, Go alone would let a goroutine that computes run for 10 ms before it lets
// another one, at each of its system calls; the kernel lets who has slept go first.
const pair = 2

// allow makes it so many, unless they are more.
func allow(n int) {
	if runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
}

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
	allow(spare)
	return nil
}
