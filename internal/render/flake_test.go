package render

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFlake keeps examples/flake as rendered from examples/seed-identity, and
// evaluates every module that its flake.nix offers.
func TestFlake(t *testing.T) {
	dir, err := filepath.Abs("../../examples/flake")
	if err != nil {
		t.Fatal(err)
	}
	p := examplePlan(t, "seed-identity")
	want := map[string]nixModule{}
	for _, n := range p.Nodes {
		file := mustRender(t, p, n.Name, NixOS, Options{})[0]
		path := filepath.Join(dir, file.Path)
		if *update {
			if err := os.WriteFile(path, file.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(kept), string(file.Data)); d != "" {
			t.Errorf("%s: run with -update if this is meant (-kept +rendered):\n%s", path, d)
		}
		if hasNix() {
			want[n.Name] = evalModule(t, file, releases[1].lib)
		}
	}
	needNix(t)
	var got map[string]nixModule
	nixEval(t, "builtins.mapAttrs (node: module: let self = module "+nixArguments(releases[1].lib)+"; in self) ((import "+dir+"/flake.nix).outputs { self = { }; }).nixosModules", &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("flake.nix offers something else (-rendered +flake):\n%s", d)
	}
}
