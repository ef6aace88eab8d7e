package remote

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also what runSelf runs: this program. The first argument says what to do.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && play(os.Args[1]) {
		return
	}
	goleak.VerifyTestMain(m)
}

// Programs of the tests.
const (
	playRights = "play-rights" // prints what it may do
	playWait   = "play-wait"   // prints its process id, and waits for ever
	playParent = "play-parent" // runs playWait with runSelf
	playFail   = "play-fail"   // complains and fails
	playEcho   = "play-echo"   // prints its input
)

func play(what string) bool {
	switch what {
	case playRights:
		status, _ := os.ReadFile("/proc/self/status") // the test sees what is missing
		score, _ := os.ReadFile("/proc/self/oom_score_adj")
		fmt.Printf("%soom_score_adj:\t%senvironment:\t%q\n", status, score, os.Environ())
	case playWait:
		fmt.Println(os.Getpid())
		select {}
	case playParent:
		fmt.Println(runSelf(context.Background(), []string{playWait}, nil, os.Stdout))
	case playFail:
		fmt.Fprintln(os.Stderr, "usb4mesh: "+strings.Repeat("so ", 5000)+"bad")
		os.Exit(3)
	case playEcho:
		_, _ = io.Copy(os.Stdout, os.Stdin)
	default:
		return false
	}
	return true
}
