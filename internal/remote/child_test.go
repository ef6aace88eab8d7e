package remote

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The program that measures has no rights, whoever runs the agent, and this process
// keeps its own.
func TestChildHasNoRights(t *testing.T) {
	before, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET", "of the agent")
	for range 3 { // threads are used again
		var out bytes.Buffer
		if err := runSelf(t.Context(), []string{playRights}, nil, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
			"oom_score_adj:\t500\n", "environment:\t[]\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	}
	after, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"CapPrm:", "CapEff:", "CapAmb:", "NoNewPrivs:"} {
		if line(before, key) != line(after, key) {
			t.Errorf("this process has %q, and had %q", line(after, key), line(before, key))
		}
	}
}

func line(text []byte, key string) string {
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, key) {
			return l
		}
	}
	return ""
}

// Other threads keep the rights, too: those that begin while one has dropped its own.
func TestOtherThreadsKeepRights(t *testing.T) {
	before, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go freshThread(func() {
		defer close(done)
		if err := dropRights(); err != nil {
			t.Error(err)
			return
		}
		ended := make(chan struct{})
		for range 8 {
			go freshThread(func() {
				defer func() { ended <- struct{}{} }()
				b, err := os.ReadFile("/proc/thread-self/status")
				if err != nil || line(b, "NoNewPrivs:") != line(before, "NoNewPrivs:") || line(b, "CapEff:") != line(before, "CapEff:") {
					t.Errorf("a new thread: %v %q %q", err, line(b, "NoNewPrivs:"), line(b, "CapEff:"))
				}
			})
		}
		for range 8 {
			<-ended
		}
	})
	<-done
}

func TestChildEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- runSelf(ctx, []string{playWait}, nil, w) }()
	pid := readPID(t, r)
	cancel()
	if err := <-ended; err == nil {
		t.Error("a program that was killed ended well")
	}
	if alive(pid) {
		t.Errorf("process %d is left", pid)
	}

	var out bytes.Buffer
	err = runSelf(t.Context(), []string{playFail}, nil, &out)
	if err == nil || !strings.HasSuffix(err.Error(), "so bad") || len(err.Error()) > maxSaid {
		t.Errorf("a program that failed: %.100v", err)
	}
}

// An agent that is killed takes what it runs with it.
func TestChildDoesNotOutlive(t *testing.T) {
	parent := exec.Command("/proc/self/exe", playParent)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readPID(t, out)
	if !alive(pid) {
		t.Errorf("process %d does not run", pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	for end := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d outlives its parent", pid)
		}
	}
}

func readPID(t *testing.T, r interface{ Read([]byte) (int, error) }) int {
	t.Helper()
	text, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// alive reports whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}
