package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/render"
)

func newRenderCommand() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:     "render FILE",
		GroupID: "plan",
		Short:   "Write the configuration in each node's own format",
		Long: `render writes what systemd-networkd or NixOS on each node needs: names, addresses,
routes, rules and kernel settings. To stdout a single file is printed as it is,
several as a txtar stream (-- path -- lines); --out writes them below a directory,
in a folder per node unless --node picks one. --diff shows what would change there
and writes nothing; it ends with exit code 4 when something differs.`,
		Example: `  usb4mesh render examples/seed-identity/mesh.yaml --node 03
  usb4mesh render examples/seed-identity/mesh.yaml --format nixos --out build
  usb4mesh render mesh.yaml --node 03 --diff --out /      # on node 03 itself`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.diff && o.out == "" {
				return usageError("--diff compares with a directory: add --out DIR (--out / on the node itself)")
			}
			if o.prune && (o.out == "" || o.diff) {
				return usageError("--prune removes files below --out DIR, and not together with --diff")
			}
			p, err := loadPlan(cmd, args[0])
			if err != nil {
				return err
			}
			return o.run(cmd, p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.node, "node", "", "only this node")
	f.StringVar(&o.format, "format", "", "format for all nodes, instead of what the file says: "+strings.Join(render.Formats(), ", "))
	f.StringVar(&o.out, "out", "", "write below this directory instead of to stdout")
	f.BoolVar(&o.diff, "diff", false, "show what would change below --out, write nothing")
	f.BoolVar(&o.prune, "prune", false, "also remove files of usb4mesh below --out that the plan no longer has")
	_ = cmd.RegisterFlagCompletionFunc("node", completeNode)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(render.Formats(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

type renderOptions struct {
	node, format, out string
	diff, prune       bool
}

func (o renderOptions) run(cmd *cobra.Command, p mesh.Plan) error {
	files, err := o.files(cmd, p)
	if err != nil {
		return err
	}
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if o.out == "" {
		if len(files) == 1 {
			_, err := stdout.Write(files[0].Data)
			return err
		}
		var a txtar.Archive
		for _, f := range files {
			a.Files = append(a.Files, txtar.File{Name: f.Path, Data: f.Data})
		}
		_, err := stdout.Write(txtar.Format(&a))
		return err
	}

	tree := fileTree{root: o.out}
	stale, err := tree.stale(files)
	if err != nil {
		return err
	}
	if o.diff {
		changed := 0
		for _, f := range files {
			text, err := tree.diff(f)
			if err != nil {
				return err
			}
			if text != "" {
				changed++
				fmt.Fprint(stdout, text)
			}
		}
		for _, s := range stale {
			fmt.Fprintf(stdout, "stale: %s is no longer in the plan\n", s)
		}
		if changed+len(stale) > 0 {
			fmt.Fprintf(stderr, "%s differ, %d stale\n", count(changed, "file"), len(stale))
			return &exitError{code: exitProblems}
		}
		return nil
	}
	for i, f := range files {
		if err := tree.write(f); err != nil {
			return fmt.Errorf("%w; %d of %d files were written", err, i, len(files))
		}
	}
	fmt.Fprintf(stderr, "%s written below %s\n", count(len(files), "file"), o.out)
	for _, s := range stale {
		if !o.prune {
			fmt.Fprintf(stderr, "stale: %s is no longer in the plan; --prune removes it\n", s)
			continue
		}
		if err := tree.remove(s); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "removed %s\n", s)
	}
	return nil
}

// files renders the nodes asked for. Where there are several nodes, paths start
// with the node's name.
func (o renderOptions) files(cmd *cobra.Command, p mesh.Plan) ([]render.File, error) {
	if o.format != "" && !slices.Contains(render.Formats(), o.format) {
		return nil, usageError("unknown format %q: one of %s", o.format, strings.Join(render.Formats(), ", "))
	}
	var all []render.File
	for _, n := range p.Nodes {
		if o.node != "" && n.Name != o.node {
			continue
		}
		files, findings := render.Files(p, n.Name, o.format)
		if err := printFindings(cmd.ErrOrStderr(), findings); err != nil {
			return nil, err
		}
		if finding.HasErrors(findings) {
			return nil, &exitError{code: exitFile}
		}
		for _, f := range files {
			if o.node == "" {
				f.Path = path.Join(n.Name, f.Path)
			}
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		var names []string
		for _, n := range p.Nodes {
			names = append(names, n.Name)
		}
		return nil, usageError("the cluster has no node %q; it has %s", o.node, strings.Join(names, ", "))
	}
	return all, nil
}
