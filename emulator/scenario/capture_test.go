package scenario_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
	"github.com/usb4mesh/usb4mesh/emulator/sysfs"
)

var update = flag.Bool("update", false, "write the captured trees anew")

// captures are trees that the harness writes, and the models that they are compared with. The folder of the models
// belongs to usb4mesh; the emulator only reads it.
var captures = []struct {
	name, model, models, modelTree string
}{
	{"amd-6.12", "amd", "amd-6.12.txtar", "amd-6.12/um790-01"},
	{"intel-6.12", "intel", "intel-6.12.txtar", "intel-6.12/nuc-a"},
}

func captureFile(name, kind string) string { return filepath.Join("..", "testdata", name+"."+kind) }

// TestCapture takes the trees of running machines, and compares them with the ones in testdata.
func TestCapture(t *testing.T) {
	level(t, "drivers")
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := scenario.Start(t, scenario.Spec{Cables: ring, Model: c.model, Kernel: guest.Linux612})
			w.Up()
			tree := w.Host("a").Capture()
			file := captureFile(c.name, "txtar")
			if *update {
				comment := fmt.Sprintf("Captured from an emulated machine of model %q under stock Linux %s, one of a ring of three.\n"+
					"Written by TestCapture of emulator/scenario with -update; do not edit.\n", c.model, w.Host("a").Release)
				if err := os.WriteFile(file, sysfs.Format(c.name+"/a", comment, tree), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			judge(t, load(t, file, c.name+"/a"), sysfs.Canonical(tree), false, "volatile")
		})
	}
}

// TestModels compares the captured trees with the models: every difference has a reason.
func TestModels(t *testing.T) {
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			model := load(t, filepath.Join("..", "..", "internal", "hw", "testdata", "trees", c.models), c.modelTree)
			judge(t, model, load(t, captureFile(c.name, "txtar"), c.name+"/a"), true, "model", c.name)
		})
	}
}

func load(t *testing.T, file, name string) sysfs.Tree {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	trees, _ := sysfs.Parse(text)
	if len(trees[name]) == 0 {
		t.Fatalf("%s: no tree %s in it", file, name)
	}
	return sysfs.Canonical(trees[name])
}

// judge fails for each difference that none of the files explains and, if all must be needed, for each reason without
// a difference.
func judge(t *testing.T, model, captured sysfs.Tree, all bool, files ...string) {
	t.Helper()
	var why []sysfs.Explanation
	for _, f := range files {
		file := captureFile(f, "differences")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		more, err := sysfs.ParseExplanations(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		why = append(why, more...)
	}
	unexplained, idle := sysfs.Judge(sysfs.Diff(model, captured), why)
	for _, d := range unexplained {
		t.Errorf("%v does not explain %v", files, d)
	}
	for _, e := range idle {
		if all {
			t.Errorf("%v: nothing differs at %c %s any more", files, e.Kind, e.Pattern)
		}
	}
}
