package diagnose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/diagnose"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw" // reads the model trees
	"github.com/usb4mesh/usb4mesh/internal/hw/hwtest"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// modelTrees loads the trees of package hw.
func modelTrees(t *testing.T) map[string]fstest.MapFS {
	t.Helper()
	files, err := filepath.Glob("../hw/testdata/trees/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no model trees: %v", err)
	}
	all := map[string]fstest.MapFS{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for tree, fsys := range hwtest.Load(b) {
			all[tree] = fsys
		}
	}
	return all
}

func scan(t *testing.T, fsys fstest.MapFS) mesh.Hardware {
	t.Helper()
	h, fs := hw.Scan(fsys)
	for _, f := range fs {
		t.Errorf("scan: %s", f.Message)
	}
	return h
}

func codes(fs []diagnose.Finding, least finding.Severity) []string {
	var out []string
	for _, f := range fs {
		if f.Severity >= least && !slices.Contains(out, f.Kind.Code) {
			out = append(out, f.Kind.Code)
		}
	}
	slices.Sort(out)
	return out
}

// TestModelTrees: healthy machines have nothing above info; each degraded one has
// exactly its finding beyond what the healthy machine it was made from has.
func TestModelTrees(t *testing.T) {
	degraded := map[string]string{
		"degraded/gen2-x2-10G":             "trained-10x2",
		"degraded/gen3-x1-single-lane":     "trained-one-lane",
		"degraded/no-carrier-peer-if-down": "no-carrier",
		"degraded/mixed-kernel-peer-7.2":   "peer-kernel-differs",
		"degraded/hostname-none":           "peer-nameless",
	}
	trees := modelTrees(t)
	healthy := codes(diagnose.Run(diagnose.Input{Hardware: scan(t, trees["amd-6.12/um790-01"])}), finding.Info)
	for name, fsys := range trees {
		fs := diagnose.Run(diagnose.Input{Hardware: scan(t, fsys)})
		want, bad := degraded[name]
		if !bad {
			if above := codes(fs, finding.Warning); len(above) > 0 {
				t.Errorf("%s: a healthy machine has %v", name, above)
			}
			continue
		}
		delete(degraded, name)
		extra := slices.DeleteFunc(codes(fs, finding.Info), func(c string) bool { return slices.Contains(healthy, c) })
		if diff := cmp.Diff([]string{want}, extra); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(degraded) > 0 {
		t.Errorf("trees not found: %v", degraded)
	}
}

// TestEveryFindingIsWhole wants evidence and advice in every finding of every tree.
func TestEveryFindingIsWhole(t *testing.T) {
	n := 0
	for name, fsys := range modelTrees(t) {
		for _, f := range diagnose.Run(diagnose.Input{Hardware: scan(t, fsys), Measured: &diagnose.Measurement{Gbps: 11.8}}) {
			n++
			if f.Subject == "" || f.Message == "" || len(f.Evidence) == 0 || f.Cause == "" || f.Fix == "" || f.Gain == "" || f.Source == "" {
				t.Errorf("%s: %s lacks something: %+v", name, f.Kind.Code, f)
			}
			b, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"code", "severity", "subject", "message", "evidence", "cause", "fix", "gain", "source", "proof"} {
				if !strings.Contains(string(b), `"`+key+`":`) {
					t.Errorf("JSON without %s: %s", key, b)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no finding at all")
	}
}

// TestSeed is the question of the author whose cluster started it all: 40 Gbit/s
// links of a UM790 Pro, 11.8 measured.
func TestSeed(t *testing.T) {
	trees := modelTrees(t)
	for _, tt := range []struct {
		tree     string
		measured float64
		code     string
		has      []string // in message, fix or gain
	}{
		{"amd-6.12/um790-01", 11.8, "credit-window", []string{"11.8 Gbit/s of 40 trained", "14 receive credits", "thunderbolt.dma_credits=32", "update-grub", "26.9 Gbit/s", "nobody has published"}},
		{"amd-6.12/um790-01", 5, "below-every-limit", []string{"small-mtu", "at least 11.8"}},
		{"degraded/gen2-x2-10G", 11.8, "credit-window", []string{"11.8 Gbit/s of 20 trained", "up to 19.0 Gbit/s"}},
		{"amd-6.12/um790-01", 45, "beyond-the-link", []string{"38.0"}},
		{"intel-6.12/nuc-a", 26, "controller-is-the-limit", []string{"14 receive credits", "second cable"}},
	} {
		fs := diagnose.Run(diagnose.Input{Hardware: scan(t, trees[tt.tree]), Measured: &diagnose.Measurement{Gbps: tt.measured}})
		i := slices.IndexFunc(fs, func(f diagnose.Finding) bool { return f.Kind.Code == tt.code })
		if i < 0 {
			t.Errorf("%s at %g: %v, want %s", tt.tree, tt.measured, codes(fs, finding.Info), tt.code)
			continue
		}
		f := fs[i]
		for _, s := range tt.has {
			if !strings.Contains(strings.Join([]string{f.Message, f.Cause, f.Fix, f.Gain}, "\n"), s) {
				t.Errorf("%s at %g: nothing about %q in\n%s\n%s\n%s\n%s", tt.tree, tt.measured, s, f.Message, f.Cause, f.Fix, f.Gain)
			}
		}
		if slices.Contains(codes(fs, finding.Info), "default-credits") {
			t.Errorf("%s: default-credits is told although %s explains more", tt.tree, tt.code)
		}
	}
}

// TestSeedThen is the same question under the kernel of that day, which has no
// parameter for the credits.
func TestSeedThen(t *testing.T) {
	a, b := pair()
	hwtest.Plug(a.Port(2), b.Port(2))
	a.Machine.Set("proc/sys/kernel/osrelease", "6.1.71")
	a.Machine.Set("proc/version", "Linux version 6.1.71 (nixbld@localhost) (gcc 12.3.0) #1-NixOS SMP PREEMPT_DYNAMIC")
	delete(a.Machine.FS, "sys/module/thunderbolt/parameters/dma_credits")
	fs := diagnose.Run(diagnose.Input{Hardware: scan(t, a.Machine.FS), Measured: &diagnose.Measurement{Gbps: 11.8}})
	i := slices.IndexFunc(fs, func(f diagnose.Finding) bool { return f.Kind.Code == "credit-window" })
	if i < 0 {
		t.Fatalf("no credit-window in %v", codes(fs, finding.Info))
	}
	for _, want := range []string{"linuxPackages_latest", `boot.kernelParams = [ "thunderbolt.dma_credits=32" ]`, "both machines"} {
		if !strings.Contains(fs[i].Fix, want) {
			t.Errorf("nothing about %q in %s", want, fs[i].Fix)
		}
	}
}

// TestMeasuredASMedia: nobody has published how many credits that router grants.
func TestMeasuredASMedia(t *testing.T) {
	a, b := pair()
	hwtest.Plug(a.Port(2), b.Port(2))
	a.Machine.Set("sys/devices/pci0000:00/0000:00:08.3/0000:c7:00.5/vendor", "0x1b21")
	fs := diagnose.Run(diagnose.Input{Hardware: scan(t, a.Machine.FS), Measured: &diagnose.Measurement{Gbps: 5.17}})
	i := slices.IndexFunc(fs, func(f diagnose.Finding) bool { return f.Kind.Code == "credit-window" })
	if i < 0 || !strings.Contains(fs[i].Fix, "dma_credits=28") || !strings.Contains(fs[i].Fix, "whether the router grants") {
		t.Errorf("%v %+v", codes(fs, finding.Info), fs)
	}
}

// TestMeasuredOneLane: 9.3 over one lane of 10 is what the link can do.
func TestMeasuredOneLane(t *testing.T) {
	a, b := pair()
	c := hwtest.Plug(a.Port(2), b.Port(2))
	c.Train(1, 10)
	fs := diagnose.Run(diagnose.Input{Hardware: scan(t, a.Machine.FS), Measured: &diagnose.Measurement{Gbps: 9.3, Interface: "thunderbolt0"}})
	got := codes(fs, finding.Info)
	for _, want := range []string{"link-is-the-limit", "trained-10x1"} {
		if !slices.Contains(got, want) {
			t.Errorf("%v lacks %s", got, want)
		}
	}
	if fs := diagnose.Run(diagnose.Input{Hardware: scan(t, a.Machine.FS), Measured: &diagnose.Measurement{Gbps: 9.3, Interface: "thunderbolt7"}}); slices.Contains(codes(fs, finding.Info), "link-is-the-limit") {
		t.Error("a measurement of another interface was explained")
	}
}

func pair() (a, b *hwtest.Domain) {
	return hwtest.New("a").AddDomain("0000:c7:00.5", hwtest.AMD), hwtest.New("b").AddDomain("0000:c7:00.5", hwtest.AMD)
}
