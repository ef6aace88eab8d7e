package gossip

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// Marks of a test binary that was started again: in a user namespace of its own, or as
// a node of a test.
const (
	inside = "USB4MESH_TEST_USERNS"
	asNode = "USB4MESH_TEST_NODE"
)

// noKernel says why no test can have a network namespace of its own; "" if it can.
var noKernel string

// TestMain gives an ordinary user the rights the tests need by starting the test
// binary again as root of a new user namespace. Root needs no such thing.
func TestMain(m *testing.M) {
	if config := os.Getenv(asNode); config != "" {
		if err := runNode(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Geteuid() != 0 && os.Getenv(inside) == "" {
		code, err := again()
		if err == nil {
			os.Exit(code)
		}
		noKernel = fmt.Sprintf("needs root or user namespaces: %v", err)
		fmt.Fprintln(os.Stderr, "gossip tests with sockets skipped:", noKernel)
	}
	goleak.VerifyTestMain(m)
}

func again() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
