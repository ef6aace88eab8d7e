package kerneltest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// inside marks a test binary that was started again in its own user namespace.
const inside = "USB4MESH_TEST_USERNS"

// Rights gives an ordinary user the rights that tests of the kernel need: it runs the
// test binary again as root of a new user namespace. If that was done, the caller,
// TestMain, ends with the code. Root needs no such thing. why says what keeps tests
// from having network namespaces, "" if nothing does.
func Rights() (done bool, code int, why string) {
	if !Borrowed() || os.Getenv(inside) != "" {
		return false, 0, ""
	}
	code, err := again()
	if err != nil {
		return false, 0, fmt.Sprintf("needs root or user namespaces: %v", err)
	}
	return true, code, ""
}

// Borrowed reports whether these rights end at a user namespace: what only the
// machine's root may do fails.
func Borrowed() bool { return os.Geteuid() != 0 || os.Getenv(inside) != "" }

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
