package kernel_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

// noKernel says why no test can have a network namespace of its own; "" if it can.
var noKernel string

// TestMain gives an ordinary user the rights the tests need by starting the test
// binary again as root of a new user namespace. Root needs no such thing.
func TestMain(m *testing.M) {
	done, code, why := kerneltest.Rights()
	if done {
		os.Exit(code)
	}
	if noKernel = why; noKernel != "" {
		fmt.Fprintln(os.Stderr, "kernel tests skipped:", noKernel)
	}
	goleak.VerifyTestMain(m)
}
