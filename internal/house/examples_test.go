package house

import (
	"bytes"
	"path"
	"strings"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// TestExamples plans every example: they are what people begin with.
func TestExamples(t *testing.T) {
	n := 0
	for _, name := range files(t) {
		if !strings.HasPrefix(name, "examples/") || path.Ext(name) != ".yaml" {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			src := []byte(read(t, name))
			cluster, fs := config.Parse(name, src)
			if !finding.HasErrors(fs) {
				p, more := plan.Make(cluster)
				fs = append(fs, config.Locate(name, src, more)...)
				if len(p.Nodes) == 0 || len(p.Cables) == 0 {
					t.Errorf("the plan has %d nodes and %d cables", len(p.Nodes), len(p.Cables))
				}
			}
			if finding.HasErrors(fs) {
				var b bytes.Buffer
				if err := (finding.Printer{W: &b}).Print(fs...); err != nil {
					t.Fatal(err)
				}
				t.Errorf("an example must plan without errors:\n%s", b.String())
			}
		})
	}
	if n == 0 {
		t.Error("no examples found")
	}
}
