package render

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

func TestGolden(t *testing.T) {
	for _, tc := range []struct {
		file, node, format string
		plan               mesh.Plan
		options            Options
	}{
		{file: "seed-03-networkd", plan: seedPlan(), node: "03", format: Networkd},
		{file: "seed-03-nixos", plan: seedPlan(), node: "03", format: NixOS},
		{file: "identity-01-networkd", plan: trianglePlan(), node: "01", format: Networkd},
		{file: "identity-02-networkd", plan: trianglePlan(), node: "02", format: Networkd},
		{file: "identity-03-networkd", plan: trianglePlan(), node: "03", format: Networkd},
		{file: "identity-01-nixos", plan: trianglePlan(), node: "01", format: NixOS},
		{file: "identity-02-nixos", plan: trianglePlan(), node: "02", format: NixOS},
		{file: "identity-03-nixos", plan: trianglePlan(), node: "03", format: NixOS},
		{file: "identity-03-bridge", plan: trianglePlan(), node: "03", format: Networkd, options: Options{IdentityKind: mesh.KindBridge}},
		{file: "spare-networkd", plan: sparePlan(), node: "01", format: Networkd},
		{file: "intel-networkd", plan: intelPlan(), node: "nuc", format: Networkd},
		{file: "intel-nixos", plan: intelPlan(), node: "nuc", format: NixOS},
	} {
		t.Run(tc.file, func(t *testing.T) {
			files := mustRender(t, tc.plan, tc.node, tc.format, tc.options)
			var ar txtar.Archive
			for _, f := range files {
				if f.Mode != 0o644 {
					t.Errorf("%s: mode %o, want 644", f.Path, f.Mode)
				}
				ar.Files = append(ar.Files, txtar.File{Name: f.Path, Data: f.Data})
			}
			got := txtar.Format(&ar)
			path := filepath.Join("testdata", "golden", tc.file+".txtar")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", d)
			}
		})
	}
}

func mustRender(t *testing.T, p mesh.Plan, node, format string, o Options) []File {
	t.Helper()
	files, fs := FilesWith(p, node, format, o)
	if finding.HasErrors(fs) || len(files) == 0 {
		t.Fatalf("node %s as %s: %d files, findings %v", node, format, len(files), fs)
	}
	return files
}
