package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// What config could make of a bad file goes on to Make, so that a person sees all
// problems at once. Whatever is missing in it, Make must neither panic nor
// complain without a place in the file.
func TestMakeOnWhatBadFilesLeave(t *testing.T) {
	files, err := filepath.Glob("../config/testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d bad files, %v; want at least 40", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			cluster, _ := config.Parse(name, src)
			_, planned := plan.Make(cluster)
			for _, f := range config.Locate(name, src, planned) {
				if f.Severity == finding.Error && f.Pos.Line == 0 {
					t.Errorf("%s: error without a place, at %q: %s", f.Code(), f.Path, f.Message)
				}
			}
		})
	}
}
