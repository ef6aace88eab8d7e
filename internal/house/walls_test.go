package house

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/usb4mesh/usb4mesh"

// walls says, independently of .golangci.yml, how the packages stand: the floor, whether
// the package is pure, and what else it may import.
var walls = map[string]struct {
	floor int
	pure  bool
	beams []string
}{
	"finding":    {floor: 1, pure: true},
	"mesh":       {floor: 2, pure: true},
	"config":     {floor: 3, pure: true},
	"catalog":    {floor: 3, pure: true},
	"topology":   {floor: 3, pure: true},
	"forwarding": {floor: 3, pure: true},
	"search":     {floor: 3, pure: true},
	"flow":       {floor: 3, pure: true},
	"plan":       {floor: 4, pure: true, beams: []string{"topology", "search", "forwarding", "catalog"}},
	"cost":       {floor: 4, pure: true, beams: []string{"catalog"}},
	"render":     {floor: 4, pure: true},
	"draw":       {floor: 4, pure: true},
	"diagnose":   {floor: 4, pure: true},
	"cabling":    {floor: 4, pure: true},
	"hw":         {floor: 4},
	"kernel":     {floor: 4},
	"bench":      {floor: 4},
	"liveness":   {floor: 4},
	"gossip":     {floor: 4},
	"status":     {floor: 4},
	"tune":       {floor: 4},
	"remote":     {floor: 4},
	"design":     {floor: 5, pure: true},
	"agent":      {floor: 5},
	"lab":        {floor: 5},
	"survey":     {floor: 5},
}

// Packages of internal that stand outside of the house: nothing imports them.
var outside = []string{"coexist", "drivertest", "house"}

// libraries maps import paths to the packages that may import them: at least one path
// for each rule, and some that nobody refuses.
var libraries = map[string][]string{
	"go.yaml.in/yaml/v4":               {"config", "catalog"},
	"github.com/vishvananda/netlink":   {"kernel", "lab"},
	"github.com/vishvananda/netns":     {"kernel", "lab"},
	"github.com/google/nftables":       {"kernel", "lab"},
	"github.com/spf13/cobra":           nil,
	"golang.org/x/term":                nil,
	"net/netip":                        slices.Sorted(maps.Keys(walls)),
	"strings":                          slices.Sorted(maps.Keys(walls)),
	"github.com/google/go-cmp/cmp":     slices.Sorted(maps.Keys(walls)),
	"golang.org/x/sys/unix":            impure(),
	"os":                               impure(),
	"os/exec":                          slices.DeleteFunc(impure(), func(name string) bool { return name == "hw" }), // a scan starts no process
	"net":                              impure(),
	"net/http":                         impure(),
	"syscall":                          impure(),
	"time":                             impure(),
	"math/rand/v2":                     impure(),
	"crypto/rand":                      impure(),
	"path/filepath":                    impure(),
	"log/slog":                         impure(),
	module + "/internal/house/summary": nil,
	module + "/cmd/usb4mesh":           nil,
}

func impure() []string {
	var names []string
	for name, w := range walls {
		if !w.pure {
			names = append(names, name)
		}
	}
	return names
}

// mayImport is the rule of the house: down, never up or sideways, but for the beams.
// Floor 4 stands on the vocabulary (floors 1 and 2); only plan and floor 5 stand on
// floor 3 too.
func mayImport(from, to string) bool {
	f, t := walls[from], walls[to]
	switch {
	case from == to:
		return true
	case f.floor == 5:
		return t.floor < 5
	case t.floor <= 2:
		return t.floor < f.floor
	}
	return slices.Contains(f.beams, to)
}

// TestWallsBite builds a copy of the house with empty rooms, lets each of them import
// everything, and compares what the linter objects to with the rule above.
func TestWallsBite(t *testing.T) {
	linter := os.Getenv("GOLANGCI_LINT")
	if linter == "" {
		t.Skip("the linter is not named: run `make test`, or set GOLANGCI_LINT to the output of scripts/lint --install")
	}
	write, denials := houseCopy(t, linter)
	// The importing files stand in a folder below the package: the same rules hold
	// there, and the copy has no import cycles.
	want := map[string]bool{} // "from to" -> allowed
	targets := slices.Sorted(maps.Keys(libraries))
	for name := range walls {
		targets = append(targets, module+"/internal/"+name)
		write("internal/"+name+"/"+name+".go", "package "+name+"\n")
	}
	write("internal/house/summary/main.go", "package summary\n")
	write("cmd/usb4mesh/main.go", "package usb4mesh\n")
	for from := range walls {
		var b strings.Builder
		fmt.Fprintf(&b, "package probe\n\n")
		for _, to := range targets {
			fmt.Fprintf(&b, "import _ %q\n", to)
			if own, ok := strings.CutPrefix(to, module+"/internal/"); ok && walls[own].floor > 0 {
				want[from+" "+to] = mayImport(from, own)
			} else {
				want[from+" "+to] = slices.Contains(libraries[to], from)
			}
		}
		write("internal/"+from+"/probe/probe.go", b.String())
	}

	compareWalls(t, want, denials())
}

// houseCopy begins a copy of the house with the linter's configuration in it. It returns
// how to add a file, and how to lint the copy: "from to" for each import refused, from the
// package two levels deep (internal/mesh: "mesh"), to the import path.
func houseCopy(t *testing.T, linter string) (write func(name, text string), denials func() map[string]bool) {
	t.Helper()
	dir := t.TempDir()
	write = func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", ".golangci.yml"} {
		write(name, read(t, name))
	}
	return write, func() map[string]bool { return lintWalls(t, linter, dir) }
}

func lintWalls(t *testing.T, linter, dir string) map[string]bool {
	t.Helper()
	cmd := exec.Command(linter, "run", "--enable-only", "depguard", "--max-issues-per-linter", "0", "--max-same-issues", "0",
		"--output.json.path", "stdout", "--show-stats=false", "--issues-exit-code", "0", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr(err))
	}
	var report struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct{ Filename string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("the linter's report: %v\n%s", err, out)
	}
	denied := map[string]bool{}
	for _, i := range report.Issues {
		if i.FromLinter != "depguard" {
			t.Fatalf("the copy does not compile: %s: %s", i.Pos.Filename, i.Text)
		}
		from := strings.Split(filepath.ToSlash(i.Pos.Filename), "/")[1]
		to := strings.Split(i.Text, "'")[1]
		if !strings.Contains(i.Text, ": ") {
			t.Errorf("%s -> %s is refused without a reason", from, to)
		}
		denied[from+" "+to] = true
	}
	return denied
}

// compareWalls compares what the linter refused with what it should.
func compareWalls(t *testing.T, want, denied map[string]bool) {
	t.Helper()
	for _, pair := range slices.Sorted(maps.Keys(want)) {
		switch {
		case want[pair] && denied[pair]:
			t.Errorf("%s: refused, but the house allows it", pair)
		case !want[pair] && !denied[pair]:
			t.Errorf("%s: not refused", pair)
		}
	}
	t.Logf("%d imports tried, %d refused", len(want), len(denied))
}

// TestEveryPackageHasWalls finds packages that were added without a floor.
func TestEveryPackageHasWalls(t *testing.T) {
	rules := read(t, ".golangci.yml")
	for _, name := range files(t) {
		parts := strings.Split(name, "/")
		if len(parts) < 3 || parts[0] != "internal" || !strings.HasSuffix(name, ".go") {
			continue
		}
		pkg := parts[1]
		if _, ok := walls[pkg]; !ok && !slices.Contains(outside, pkg) {
			t.Errorf("%s: package internal/%s has no floor in walls_test.go", name, pkg)
			continue
		}
		if !slices.Contains(outside, pkg) && !strings.Contains(rules, `files: ["**/internal/`+pkg+`/**", "!$test"]`) {
			t.Errorf("internal/%s has no depguard rule in .golangci.yml", pkg)
		}
	}
}

func stderr(err error) []byte {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.Stderr
	}
	return nil
}
