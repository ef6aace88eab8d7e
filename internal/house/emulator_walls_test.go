package house

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// emulatorWalls says, independently of .golangci.yml, what the packages of emulator/ may
// import of each other. They import nothing of usb4mesh, which imports nothing of them.
var emulatorWalls = map[string][]string{
	"packet":     {},
	"vfiouser":   {},
	"sysfs":      {},
	"guest":      {},
	"drivertest": {"packet", "vfiouser"},
	"nhi":        {"packet", "vfiouser"},
	"router":     {"nhi", "packet"},
	"identity":   {"nhi", "router"},
	"fabric":     {"identity", "nhi", "packet", "router", "vfiouser"},
	"control":    {"fabric"},
	"scenario":   {"fabric", "guest", "sysfs"},
	"cmd":        {"control", "drivertest", "fabric", "guest", "identity", "nhi", "packet", "router", "scenario", "sysfs", "vfiouser"},
}

// TestEmulatorWallsBite does for emulator/ what TestWallsBite does for internal/.
func TestEmulatorWallsBite(t *testing.T) {
	linter := os.Getenv("GOLANGCI_LINT")
	if linter == "" {
		t.Skip("the linter is not named: run `make test`, or set GOLANGCI_LINT to the output of scripts/lint --install")
	}
	write, denials := houseCopy(t, linter)
	write("internal/mesh/mesh.go", "package mesh\n")
	write("cmd/usb4mesh/main.go", "package usb4mesh\n")
	targets := []string{module + "/internal/mesh", module + "/cmd/usb4mesh", "go.yaml.in/yaml/v4", "golang.org/x/sys/unix"}
	for name := range emulatorWalls {
		write("emulator/"+name+"/"+name+".go", "package "+name+"\n")
		targets = append(targets, module+"/emulator/"+name)
	}
	want := map[string]bool{} // "from to" -> allowed
	for from := range emulatorWalls {
		var b strings.Builder
		fmt.Fprint(&b, "package probe\n\n")
		for _, to := range targets {
			fmt.Fprintf(&b, "import _ %q\n", to)
			own, ours := strings.CutPrefix(to, module+"/emulator/")
			switch {
			case ours:
				want[from+" "+to] = own == from || slices.Contains(emulatorWalls[from], own)
			case to == "go.yaml.in/yaml/v4":
				want[from+" "+to] = from == "fabric"
			default:
				want[from+" "+to] = !strings.HasPrefix(to, module)
			}
		}
		write("emulator/"+from+"/probe/probe.go", b.String())
	}
	// usb4mesh itself: its command and a package of internal.
	for from, folder := range map[string]string{"usb4mesh": "cmd/usb4mesh/probe", "kernel": "internal/kernel/probe"} {
		var b strings.Builder
		fmt.Fprint(&b, "package probe\n\n")
		for _, name := range slices.Sorted(maps.Keys(emulatorWalls)) {
			fmt.Fprintf(&b, "import _ %q\n", module+"/emulator/"+name)
			want[from+" "+module+"/emulator/"+name] = false
		}
		write(folder+"/probe.go", b.String())
	}
	compareWalls(t, want, denials())
}

// TestEveryEmulatorPackageHasWalls finds packages that were added without walls.
func TestEveryEmulatorPackageHasWalls(t *testing.T) {
	rules := read(t, ".golangci.yml")
	for _, name := range files(t) {
		parts := strings.Split(name, "/")
		if len(parts) < 3 || parts[0] != "emulator" || !strings.HasSuffix(name, ".go") {
			continue
		}
		if _, ok := emulatorWalls[parts[1]]; !ok {
			t.Errorf("%s: package emulator/%s has no walls in emulator_walls_test.go", name, parts[1])
		} else if !strings.Contains(rules, `files: ["**/emulator/`+parts[1]+`/**", "!$test"]`) {
			t.Errorf("emulator/%s has no depguard rule in .golangci.yml", parts[1])
		}
	}
}
