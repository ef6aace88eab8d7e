package chaos

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

// ringFile is a ring of so many nodes.
func ringFile(nodes int, more string) []byte {
	var b strings.Builder
	b.WriteString("mesh: ring\nidentity: [10.7.4.0/24, \"fd75:7362:3404::/64\"]\ntopology: ring\nnodes:\n")
	for i := range nodes {
		fmt.Fprintf(&b, "  - {name: n%d, ports: {a: {path: \"pci-0000:c7:00.5\"}, b: {path: \"pci-0000:c7:00.6\"}}}\n", i+1)
	}
	return []byte(b.String() + more)
}

// nft runs a script in a node.
func nft(t *testing.T, l *lab.Lab, node, script string) string {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	code, err := l.Exec(t.Context(), lab.Command{Node: node, Argv: []string{"nft", script}}, [3]*os.File{out, out, out}, nil)
	b, _ := os.ReadFile(out.Name())
	if err != nil || code != 0 {
		t.Fatalf("nft %s in node %s: exit code %d, %v\n%s", script, node, code, err, b)
	}
	return string(b)
}

func until(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

// Whoever loads a firewall flushes the whole ruleset, and with it the way around a link
// that is dead. Without gossip the ends of a dead link steer for as long as it is dead.
func TestFlushedSteeringComesBack(t *testing.T) {
	l := startLab(t, program(t), ringFile(4, "agent: {gossip: none}\n"))
	ctx := t.Context()
	c := l.Plan.Cables[0]
	// What end 0 sends is swallowed at end 1, whose filter is left alone.
	deaf, dead := c.Ends[1].Node, c.Ends[0].Node
	if _, err := l.Cut(ctx, c.Name, lab.OneWay, 0); err != nil {
		t.Fatal(err)
	}
	table := func() string { // "" while there is none
		_, rest, _ := strings.Cut(nft(t, l, dead, "list ruleset"), "table inet usb4mesh {\n")
		text, _, _ := strings.Cut(rest, "\n}")
		return text
	}
	steered := func() bool { return strings.Contains(table(), "goto port-") }
	until(t, 10*time.Second, dead+" steers around the dead link", steered)
	pairs := []lab.Pair{{From: dead, To: deaf, Family: lab.IPv4}, {From: deaf, To: dead, Family: lab.IPv6}}
	reached := func(when string) {
		t.Helper()
		checked, err := l.Check(ctx, 5*time.Second, pairs...)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range checked {
			if !k.Good {
				t.Errorf("%s: %s does not reach %s (%s): %s", when, k.From, k.To, k.Family, k.Why)
			}
		}
	}
	reached("steered")
	for i := range 3 {
		before := table()
		nft(t, l, dead, "flush ruleset")
		// The agent's own timer would look again after ten seconds.
		until(t, 3*time.Second, "the way around comes back", steered)
		if after := table(); after != before {
			t.Errorf("flush %d: before\n%s\nafter\n%s", i+1, before, after)
		}
		reached(fmt.Sprintf("after flush %d", i+1))
	}
}
