package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/draw"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func newPlanCommand() *cobra.Command {
	var format string
	var asJSON, explain bool
	cmd := &cobra.Command{
		Use:     "plan FILE",
		GroupID: "plan",
		Short:   "Show what to plug where, and all that follows from it",
		Long: `plan prints the cables to plug, the names and addresses that follow, and the proof
that any single cable may fail. The other formats are for machines (json) and for
documents (svg, dot, mermaid).`,
		Example: `  usb4mesh plan examples/seed-identity/mesh.yaml
  usb4mesh plan examples/ring5/mesh.yaml --explain
  usb4mesh plan examples/ring5/mesh.yaml --format svg > mesh.svg`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				format = "json"
			}
			write, ok := planFormats[format]
			if !ok {
				return usageError("unknown format %q: one of text, json, svg, dot, mermaid", format)
			}
			p, err := loadPlan(cmd, args[0])
			if err != nil {
				return err
			}
			if format == "text" && explain {
				write = writePlanReasons
			}
			return write(cmd.OutOrStdout(), &p)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, json, svg, dot or mermaid")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	cmd.Flags().BoolVar(&explain, "explain", false, "add routes and rules of each node, and the reason of every choice")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json", "svg", "dot", "mermaid"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var planFormats = map[string]func(io.Writer, *mesh.Plan) error{
	"text": writePlanText,
	"json": func(w io.Writer, p *mesh.Plan) error { return writeJSON(w, planToJSON(p)) },
	"svg": func(w io.Writer, p *mesh.Plan) error {
		_, err := w.Write(draw.SVG(*p))
		return err
	},
	"dot":     func(w io.Writer, p *mesh.Plan) error { _, err := io.WriteString(w, draw.DOT(*p)); return err },
	"mermaid": func(w io.Writer, p *mesh.Plan) error { _, err := io.WriteString(w, draw.Mermaid(*p)); return err },
}

// writePlanText prints what a person holding the cables needs.
func writePlanText(out io.Writer, p *mesh.Plan) error {
	return writePlan(out, p, false)
}

// writePlanReasons prints the same with routes, rules and reasons.
func writePlanReasons(out io.Writer, p *mesh.Plan) error {
	return writePlan(out, p, true)
}

func writePlan(out io.Writer, p *mesh.Plan, explain bool) error {
	var t table
	t.row("%s: %s, %s, MTU %d", p.Mesh, count(len(p.Nodes), "node"), count(len(p.Cables), "cable"), p.MTU)
	t.row("")
	t.row("Cables to plug")
	t.end()
	for _, c := range p.Cables {
		t.row("  cable %s:\t%s %s\t<->\t%s %s\t%s\t%s", c.Name, c.Ends[0].Node, c.Ends[0].Port, c.Ends[1].Node, c.Ends[1].Port,
			joinAddrs(c.Addresses, " - "), because(explain, c.Reason))
	}
	t.end()
	t.row("")
	t.row("Nodes")
	if !explain {
		for i := range p.Nodes {
			n := &p.Nodes[i]
			t.row("  %s\t%s\t%s", n.Name, joinAddrs(n.Identity, "\t"), n.Machine)
		}
		t.end()
		t.row("")
		t.row("Interfaces")
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if explain {
			t.end()
			t.row("  %s\t%s\t%s\t%s", n.Name, joinAddrs(n.Identity, "  "), n.Machine, because(explain, n.IdentityReason))
			t.end()
		}
		for _, l := range n.Links {
			t.row("  %s\t%s\t%s\tto %s\tcable %s\t%s", n.Name, l.Port.Name, l.Interface, l.Peer, l.Cable, because(explain, l.Reason))
		}
		if explain {
			t.end()
			writeForwarding(&t, n)
		}
	}
	t.end()
	t.row("")
	t.row("%s", proofText(p))
	return t.flush(out)
}

func writeForwarding(t *table, n *mesh.NodePlan) {
	for _, r := range n.Routes {
		why := "primary"
		switch {
		case r.Table != mesh.MainTable:
			why = "for packets that come back over the link they would leave by"
		case r.Metric > n.Routes[0].Metric:
			why = "detour while the primary's link is down"
		}
		t.row("    %s\t(%s)", r, why)
	}
	for _, r := range n.Rules {
		t.row("    %s", r)
	}
	t.end()
}

// proofText words the proof for people; proofLine is its first line.
func proofText(p *mesh.Plan) string {
	var b strings.Builder
	b.WriteString(proofLine(p))
	if n := len(p.Proof.Unprotected); n > 0 {
		fmt.Fprintf(&b, "\nNot protected, because a single cable is the only way: %s", pairList(p.Proof.Unprotected, 12))
	}
	return b.String()
}

func proofLine(p *mesh.Plan) string {
	f := p.Proof
	switch {
	case f.Cases == 0 && len(p.Cables) > 0:
		return "No proof: without identities there is no way around a cut cable."
	case f.Cases == 0:
		return "No proof: no cables."
	}
	s := fmt.Sprintf("Proof: %s, each cut once, %s", count(f.Cables, "cable"), count(f.Cases, "case"))
	if f.Delivered == f.Cases {
		s += ", all delivered"
	} else {
		s += fmt.Sprintf(", %d delivered, %d lost", f.Delivered, f.Lost+f.Looped)
	}
	return s + fmt.Sprintf("; longest way %s.", count(f.LongestPath, "hop"))
}

func pairList(pairs []mesh.Pair, most int) string {
	var s []string
	for _, p := range pairs[:min(most, len(pairs))] {
		s = append(s, p.From+"->"+p.To)
	}
	if rest := len(pairs) - most; rest > 0 {
		s = append(s, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(s, ", ")
}

func joinAddrs[A fmt.Stringer](as []A, sep string) string {
	s := make([]string, len(as))
	for i, a := range as {
		s[i] = a.String()
	}
	return strings.Join(s, sep)
}

func because(explain bool, reason string) string {
	if !explain || reason == "" {
		return ""
	}
	return "(" + reason + ")"
}

// count words a number of things: 1 cable, 3 cables.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
