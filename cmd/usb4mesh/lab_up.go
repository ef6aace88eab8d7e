package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

func newLabUpCommand() *cobra.Command {
	var apply string
	cmd := &cobra.Command{
		Use:   "up FILE",
		Short: "Start a lab that stays until lab down",
		Long: `up builds the mesh of a cluster file in namespaces, configures all nodes and leaves them
running. There can be one lab for each mesh name.`,
		Example: `  usb4mesh lab up examples/seed-identity/mesh.yaml
  usb4mesh lab exec 01 -- ip route get 10.7.1.2`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownEngine(apply); err != nil {
				return err
			}
			p, src, err := loadPlanSource(cmd, args[0])
			if err != nil {
				return err
			}
			l, err := lab.Up(cmd.Context(), p, lab.Options{Engine: apply, Cluster: src})
			if err != nil {
				return err
			}
			defer l.Close()
			s, err := l.Status(cmd.Context())
			if err != nil {
				return err
			}
			return writeLabStatus(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().StringVar(&apply, "apply", lab.DefaultEngine, "what configures the nodes: "+engineList())
	_ = cmd.RegisterFlagCompletionFunc("apply", completeWords(lab.Engines()...))
	return cmd
}

func newLabStatusCommand() *cobra.Command {
	var asJSON bool
	var mesh string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the nodes and cables of a running lab",
		Example: `  usb4mesh lab status --json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Attach(cmd.Context(), mesh)
			if err != nil {
				return err
			}
			defer l.Close()
			s, err := l.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			return writeLabStatus(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	meshFlag(cmd, &mesh)
	return cmd
}

func writeLabStatus(w io.Writer, s lab.Status) error {
	fmt.Fprintf(w, "Lab of mesh %s, configured by %s, Linux %s\n\n", s.Mesh, s.Engine, s.Kernel)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "node\tidentity")
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "%s\t", n.Name)
		for i, a := range n.Identity {
			if i > 0 {
				fmt.Fprint(t, " ")
			}
			fmt.Fprint(t, a)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t, "\ncable\tbetween\t\tstate\tcarrier")
	for _, c := range s.Cables {
		fmt.Fprintf(t, "%s\t%s (%s)\t%s (%s)\t%s\t%s %s\n", c.Name,
			c.Ends[0].Endpoint, c.Ends[0].Interface, c.Ends[1].Endpoint, c.Ends[1].Interface,
			c.State, yesNo(c.Ends[0].Carrier), yesNo(c.Ends[1].Carrier))
	}
	if s.Missing != "" {
		fmt.Fprintf(t, "\nNot as planned: %s\n", s.Missing)
	}
	return t.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func newLabDownCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down [MESH]",
		Short: "End a lab and remove what is left of it",
		Long: `down ends the lab of a mesh (the only one, if no name is given) with every process,
interface and namespace in it, and removes what a lab left that was killed.`,
		Example: `  usb4mesh lab down
  usb4mesh lab down --all`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
			return completeMesh(cmd, args, part)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usageError("--all ends every lab: give no name with it")
			}
			meshes := args
			if len(meshes) == 0 {
				meshes = []string{""}
			}
			if all {
				running, err := lab.Running()
				if err != nil {
					return err
				}
				meshes = running
			}
			var errs []error
			for _, m := range meshes {
				name, err := lab.Down(cmd.Context(), m)
				if errors.Is(err, lab.ErrNoLab) && len(args) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "No lab is running.")
					continue
				}
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "The lab of mesh %s is down.\n", name)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "end all labs of this user")
	return cmd
}
