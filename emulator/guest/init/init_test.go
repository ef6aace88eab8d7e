package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

func TestReport(t *testing.T) {
	for text, want := range map[string]wire.Probed{
		"":         {},
		"####":     {Sent: 4, Received: 4},
		"....":     {Sent: 4, Gaps: []wire.Gap{{First: 0, Count: 4}}},
		"#..#.##.": {Sent: 8, Received: 4, Gaps: []wire.Gap{{First: 1, Count: 2}, {First: 4, Count: 1}, {First: 7, Count: 1}}},
	} {
		var got []bool
		for _, c := range text {
			got = append(got, c == '#')
		}
		if d := cmp.Diff(want, report(got)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	p := wire.Probed{Sent: 8, Received: 4, Interval: 20 * time.Millisecond, Gaps: []wire.Gap{{First: 1, Count: 2}, {First: 4, Count: 1}}}
	from, length := p.Worst()
	if p.Lost() != 4 || p.Longest() != length || length != 40*time.Millisecond || from != 20*time.Millisecond {
		t.Errorf("lost %d, longest gap %v from %v", p.Lost(), length, from)
	}
}

func TestParseRecord(t *testing.T) {
	for record, want := range map[string]string{
		"6,339,5140900,-;NET: Registered protocol\n SUBSYSTEM=net\n": "[    5.140900] NET: Registered protocol",
		"4,1,1,-,caller=T1;WARNING: a; b\n":                          "[    0.000001] WARNING: a; b",
		"nonsense":                                                   "", "1,2;x": "", "1,2,x,-;y": "",
	} {
		if got, ok := parseRecord(record); got != want || ok != (want != "") {
			t.Errorf("parseRecord(%q) = %q, %v", record, got, ok)
		}
	}
}

// TestChecksum uses the example of RFC 1071, section 3, whose sum is ddf2.
func TestChecksum(t *testing.T) {
	if got, want := checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}), ^uint16(0xddf2); got != want {
		t.Errorf("checksum %04x, want %04x", got, want)
	}
	if got, want := checksum([]byte{0x01}), ^uint16(0x0100); got != want {
		t.Errorf("checksum of an odd number of bytes: %04x, want %04x", got, want)
	}
}

func TestBounded(t *testing.T) {
	var b bounded
	big := []byte(strings.Repeat("x", wire.MaxOutput-1))
	for _, part := range [][]byte{big, []byte("abc"), []byte("d")} {
		if n, err := b.Write(part); n != len(part) || err != nil {
			t.Fatalf("Write of %d: %d, %v", len(part), n, err)
		}
	}
	if b.Len() != wire.MaxOutput || b.Bytes()[b.Len()-1] != 'a' {
		t.Errorf("%d bytes are kept, the last is %c", b.Len(), b.Bytes()[b.Len()-1])
	}
}

// TestPidOf checks the layout of siginfo_t against a real child.
func TestPidOf(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if got := pidOf(&info); got != cmd.Process.Pid {
		t.Errorf("pidOf = %d, want %d", got, cmd.Process.Pid)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestIncompleteCalls(t *testing.T) {
	g := &Guest{}
	for _, err := range []error{
		g.Run(wire.Command{}, &wire.Result{}), g.Run(wire.Command{Args: []string{"true"}}, &wire.Result{}),
		g.Spawn(wire.Daemon{}, new(int)), g.ProbeStop(7, &wire.Probed{}), g.ProbeStart(wire.Probe{To: "127.0.0.1:7"}, new(int)),
	} {
		if err == nil {
			t.Error("a call without what it needs was accepted")
		}
	}
}
