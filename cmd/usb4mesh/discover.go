package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/cabling"
	"github.com/usb4mesh/usb4mesh/internal/catalog"
	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

type discoverOptions struct {
	root, against, write, remote string
	ssh                          []string
	asJSON, force                bool
}

func newDiscoverCommand() *cobra.Command {
	var o discoverOptions
	cmd := &cobra.Command{
		Use:     "discover [ANSWER.json...]",
		GroupID: "run",
		Short:   "See which ports, peers and speeds a machine has, and who is cabled to whom",
		Long: `discover shows the USB4 controllers and ports of this machine, the peer behind each and
what the cable trained at. It reads /sys and /proc, and changes nothing.

Given the answers of several machines (discover --json), or with --ssh, it finds who is
cabled to whom: by the UUIDs of the routers, and by host names where these changed.
--write makes a cluster file of the live cabling. --against compares with a cluster file,
and names every mis-plugged cable and the moves that mend it (exit code 4 if there are any).
With --ssh this machine is looked at too if it has USB4; the others need usb4mesh
installed and ssh without a password.`,
		Example: `  usb4mesh discover
  usb4mesh discover --json > a.json
  usb4mesh discover a.json b.json c.json --against mesh.yaml
  usb4mesh discover --ssh node2 --ssh node3 --write mesh.yaml`,
		Args: cobra.MaximumNArgs(maxLinks),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	rootFlag(cmd, &o.root)
	f.StringSliceVar(&o.ssh, "ssh", nil, "ask these hosts too, over ssh (repeatable)")
	f.StringVar(&o.remote, "remote", "usb4mesh", "where usb4mesh is on the hosts of --ssh")
	f.StringVar(&o.against, "against", "", "compare the cabling with this cluster file")
	f.StringVar(&o.write, "write", "", "write the cabling as a cluster file; - is stdout")
	f.BoolVar(&o.force, "force", false, "let --write replace a file")
	f.BoolVar(&o.asJSON, "json", false, "print the answer as JSON")
	_ = cmd.MarkFlagFilename("against", "yaml", "yml")
	_ = cmd.MarkFlagFilename("write", "yaml", "yml")
	return cmd
}

func (o discoverOptions) run(cmd *cobra.Command, args []string) error {
	if err := checkSSH(o.ssh, o.remote); err != nil {
		return err
	}
	if o.write == "-" && o.asJSON {
		return usageError("--write - and --json both want stdout")
	}
	machines, err := readAnswers(cmd, args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		h, findings, err := scan(o.root)
		if err != nil {
			return err
		}
		if len(o.ssh) == 0 && o.against == "" && o.write == "" {
			if o.asJSON {
				return writeJSON(cmd.OutOrStdout(), hardwareToJSON(h, findings))
			}
			return writeHardware(cmd.OutOrStdout(), h, findings)
		}
		if len(h.Controllers) > 0 || len(o.ssh) == 0 {
			machines = append(machines, h)
		}
	}
	others, err := discoverOver(cmd.Context(), o.ssh, o.remote)
	if err != nil {
		return err
	}
	return o.several(cmd, append(machines, others...))
}

// several answers for more than one machine.
func (o discoverOptions) several(cmd *cobra.Command, machines []mesh.Hardware) error {
	c := cabling.Match(machines)
	findings := c.Findings
	var against *cabling.Comparison
	if o.against != "" {
		cmp, err := compareWith(cmd, c, o.against)
		if err != nil {
			return err
		}
		against = &cmp
		findings = append(findings, cmp.Findings...)
	}
	if o.write != "" {
		more, err := o.writeCluster(cmd, c)
		if err != nil {
			return err
		}
		findings = append(findings, more...)
	}
	var err error
	switch {
	case o.write == "-":
		err = printFindings(cmd.ErrOrStderr(), findings)
	case o.asJSON:
		err = writeJSON(cmd.OutOrStdout(), cablingToJSON(c, against, findings))
	default:
		err = writeCabling(cmd.OutOrStdout(), c, against, findings)
	}
	if err == nil && (finding.HasErrors(findings) || against != nil && !against.Clean()) {
		return &exitError{code: exitProblems}
	}
	return err
}

// readAnswers reads files that discover --json wrote.
func readAnswers(cmd *cobra.Command, names []string) ([]mesh.Hardware, error) {
	var out []mesh.Hardware
	for _, name := range names {
		b, err := readFile(cmd, name)
		var coded *exitError
		if errors.As(err, &coded) {
			return nil, fmt.Errorf("%s: no answer of `usb4mesh discover --json`: %w", name, errors.Unwrap(err))
		}
		h, err := readHardware(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, h)
	}
	return out, nil
}

// compareWith holds the cabling against a cluster file.
func compareWith(cmd *cobra.Command, c cabling.Cabling, name string) (cabling.Comparison, error) {
	p, err := loadPlan(cmd, name)
	if err != nil {
		return cabling.Comparison{}, err
	}
	src, err := readFile(cmd, name)
	if err != nil {
		return cabling.Comparison{}, err
	}
	cluster, _ := config.Parse(name, src)
	ports := map[string][]mesh.Port{}
	for _, n := range cluster.Nodes {
		ports[n.Name] = n.Ports
		if m, ok := catalog.Lookup(n.Machine); ok {
			for _, port := range m.Ports {
				ports[n.Name] = append(ports[n.Name], port.Port)
			}
		}
	}
	return cabling.Against(c, p, ports), nil
}

// writeCluster writes the cabling as a cluster file, which is known to plan.
func (o discoverOptions) writeCluster(cmd *cobra.Command, c cabling.Cabling) ([]finding.Finding, error) {
	cluster, findings := c.Cluster("mesh")
	if finding.HasErrors(findings) {
		return findings, nil
	}
	text := config.Format(cluster,
		"Made by `usb4mesh discover --write` from the cables as they are plugged.",
		"Choose other ranges under identity if these are in use in your network.")
	parsed, problems := config.Parse(o.write, text)
	_, planned := plan.Make(parsed)
	if problems = append(problems, planned...); finding.HasErrors(problems) {
		problems = slices.DeleteFunc(problems, func(f finding.Finding) bool { return f.Severity != finding.Error })
		return append(findings, problems...), nil
	}
	if o.write == "-" {
		_, err := cmd.OutOrStdout().Write(text)
		return findings, err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(filepath.Clean(o.write), flags, 0o644)
	if errors.Is(err, os.ErrExist) {
		return findings, fmt.Errorf("%w; add --force to replace it, or compare with --against %s", err, o.write)
	}
	if err != nil {
		return findings, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s written: %s, %s\n", o.write, count(len(cluster.Nodes), "node"), count(len(cluster.Cables), "cable"))
	}
	return findings, err
}
