package liveness

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

// asPeer marks a test binary that was started again as the peer of a test.
const asPeer = "USB4MESH_TEST_PEER"

// noKernel says why no test can have a network namespace of its own; "" if it can.
var noKernel string

// TestMain gives an ordinary user the rights the tests need by starting the test
// binary again as root of a new user namespace. Root needs no such thing.
func TestMain(m *testing.M) {
	if link := os.Getenv(asPeer); link != "" {
		runPeer(link)
		return
	}
	done, code, why := kerneltest.Rights()
	if done {
		os.Exit(code)
	}
	if noKernel = why; noKernel != "" {
		fmt.Fprintln(os.Stderr, "liveness tests with sockets skipped:", noKernel)
	}
	goleak.VerifyTestMain(m)
}
