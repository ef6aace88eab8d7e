package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// readLimit bounds what is read of a cluster file; config has the exact limit
// and the words for it.
const readLimit = 8 << 20

// load reads, checks and plans a cluster file ("-" is standard input). Findings
// are located and sorted; an error means that the file could not be read at all.
func load(cmd *cobra.Command, name string) (mesh.Plan, []finding.Finding, error) {
	src, err := readFile(cmd, name)
	if err != nil {
		return mesh.Plan{}, nil, err
	}
	p, findings := planSource(name, src)
	return p, findings, nil
}

// planSource checks and plans the text of a cluster file.
func planSource(name string, src []byte) (mesh.Plan, []finding.Finding) {
	if name == "-" {
		name = "standard input"
	}
	cluster, findings := config.Parse(name, src)
	p, planned := plan.Make(cluster)
	findings = append(findings, config.Locate(name, src, planned)...)
	finding.Sort(findings)
	return p, findings
}

// loadPlan is load for verbs that need a plan without errors: warnings and errors
// are printed to stderr, and errors end the verb with exit code 3. What is merely
// worth knowing is left to check.
func loadPlan(cmd *cobra.Command, name string) (mesh.Plan, error) {
	p, _, err := loadPlanSource(cmd, name)
	return p, err
}

// loadPlanSource is loadPlan for verbs that hand the file itself on, too.
func loadPlanSource(cmd *cobra.Command, name string) (mesh.Plan, []byte, error) {
	src, err := readFile(cmd, name)
	if err != nil {
		return mesh.Plan{}, nil, err
	}
	p, findings := planSource(name, src)
	problems := slices.DeleteFunc(slices.Clone(findings), func(f finding.Finding) bool { return f.Severity == finding.Info })
	if err := printFindings(cmd.ErrOrStderr(), problems); err != nil {
		return p, src, err
	}
	if finding.HasErrors(findings) {
		return p, src, &exitError{code: exitFile}
	}
	return p, src, nil
}

func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	var r io.Reader = cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, &exitError{exitFile, fmt.Errorf("%w; the argument is the path of a cluster file, see examples/seed-identity/mesh.yaml", err)}
		}
		if err != nil {
			return nil, &exitError{exitFile, err}
		}
		defer f.Close()
		r = f
	}
	src, err := io.ReadAll(io.LimitReader(r, readLimit))
	if err != nil {
		return nil, &exitError{exitFile, fmt.Errorf("%s: %w", name, err)}
	}
	return src, nil
}

func printFindings(w io.Writer, findings []finding.Finding) error {
	return finding.Printer{W: w, Color: colour(w)}.Print(findings...)
}

// completeFile completes a cluster file name.
func completeFile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeNode completes the node names of the cluster file given as argument.
func completeNode(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	src, err := os.ReadFile(filepath.Clean(args[0]))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, _ := config.Parse(args[0], src)
	names := make([]string, 0, len(cluster.Nodes))
	for _, n := range cluster.Nodes {
		names = append(names, n.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
