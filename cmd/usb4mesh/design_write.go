package main

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/design"
	"github.com/usb4mesh/usb4mesh/internal/draw"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/plan"
	"github.com/usb4mesh/usb4mesh/internal/render"
)

// mostDrawn is the most nodes of a picture that still shows something.
const mostDrawn = 40

// writeCandidates writes each wiring as DIR/NUMBER-NAME/mesh.yaml with its picture, and reads,
// plans and proves what it wrote.
func writeCandidates(cmd *cobra.Command, dir string, all []design.Candidate) error {
	var t table
	for i := range all {
		c := &all[i]
		cluster, err := c.Cluster()
		if err != nil {
			return err
		}
		folder := fmt.Sprintf("%02d-%s", i+1, slug(c.Name))
		name := path.Join(folder, "mesh.yaml")
		text := config.Format(cluster,
			fmt.Sprintf("%s: %d nodes, %d cables; %.3f hops on average, %d at most.", c.Name, c.Nodes+c.Hubs, len(c.Links), c.Average, c.Diameter),
			"Written by usb4mesh design. The PCI paths of the ports are made up: take your own from",
			"lspci -D, or name the machine instead (usb4mesh machines).")
		tree := fileTree{dir}
		if err := tree.write(render.File{Path: name, Mode: 0o644, Data: text}); err != nil {
			return err
		}
		parsed, findings := config.Parse(name, text)
		p, more := plan.Make(parsed)
		findings = append(findings, more...)
		if finding.HasErrors(findings) {
			_ = printFindings(cmd.ErrOrStderr(), findings)
			return fmt.Errorf("%s: the file just written can't be planned; this is a bug", filepath.Join(dir, name))
		}
		if len(p.Nodes) <= mostDrawn {
			if err := tree.write(render.File{Path: path.Join(folder, "mesh.svg"), Mode: 0o644, Data: draw.SVG(p)}); err != nil {
				return err
			}
		}
		t.row("%s\t%s", filepath.Join(dir, name), proofLine(&p))
	}
	return t.flush(cmd.ErrOrStderr())
}

// slug makes a folder name of the name of a wiring.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
