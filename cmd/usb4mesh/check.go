package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

func newCheckCommand() *cobra.Command {
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:     "check FILE",
		GroupID: "plan",
		Short:   "Find every mistake in a cluster file",
		Long: `check reads a cluster file, plans it, and reports every problem at once: each with
its place, the line, and what to write instead. Warnings do not fail the check.`,
		Example: `  usb4mesh check examples/seed-identity/mesh.yaml
  usb4mesh check --json mesh.yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, findings, err := load(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), struct {
					Findings []finding.Finding `json:"findings"`
				}{emptyNotNull(findings)})
			} else if err = printFindings(cmd.OutOrStdout(), findings); err == nil && !finding.HasErrors(findings) {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no errors%s; %d nodes, %d cables. %s\n",
					p.Source, countWarnings(findings), len(p.Nodes), len(p.Cables), proofLine(&p))
			}
			switch {
			case err != nil:
				return err
			case finding.HasErrors(findings):
				return &exitError{code: exitFile}
			case strict && countSeverity(findings, finding.Warning) > 0:
				return &exitError{code: exitProblems}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with code 4 when there are warnings")
	return cmd
}

func countSeverity(findings []finding.Finding, s finding.Severity) int {
	n := 0
	for _, f := range findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

func countWarnings(findings []finding.Finding) string {
	switch n := countSeverity(findings, finding.Warning); n {
	case 0:
		return ""
	case 1:
		return ", 1 warning"
	default:
		return fmt.Sprintf(", %d warnings", n)
	}
}

// writeJSON writes v indented, as every verb does.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// emptyNotNull makes an empty list print as [].
func emptyNotNull[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
