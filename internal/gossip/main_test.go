package gossip

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

// asNode marks a test binary that was started again as a node of a test.
const asNode = "USB4MESH_TEST_NODE"

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
	done, code, why := kerneltest.Rights()
	if done {
		os.Exit(code)
	}
	if noKernel = why; noKernel != "" {
		fmt.Fprintln(os.Stderr, "gossip tests with sockets skipped:", noKernel)
	}
	goleak.VerifyTestMain(m)
}
