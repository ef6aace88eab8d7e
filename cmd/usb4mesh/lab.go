package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

func newLabCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lab",
		GroupID: "run",
		Short:   "Run the mesh on this one machine, before touching hardware",
		Long: `lab builds the mesh of a cluster file on this machine: a network namespace for each
node, a veth pair for each cable, the machine's own kernel as router. It needs no root.

lab run makes the whole experiment and reports. lab up starts a lab that stays, for
playing with it: lab status, lab exec, lab unplug, lab plug, and lab down to end it.`,
		Example: `  usb4mesh lab run examples/seed-identity/mesh.yaml
  usb4mesh lab up examples/seed-identity/mesh.yaml
  usb4mesh lab unplug 1
  usb4mesh lab exec 01 -- ip route
  usb4mesh lab down`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newLabRunCommand(),
		newLabCompareCommand(),
		newLabChaosCommand(),
		newLabUpCommand(),
		newLabStatusCommand(),
		newLabExecCommand(),
		newLabUnplugCommand(),
		newLabPlugCommand(),
		newLabDownCommand(),
		newLabKeeperCommand(),
	)
	return cmd
}

// newLabKeeperCommand is how lab starts this program again to hold the
// namespaces of a lab; see package lab.
func newLabKeeperCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "keeper",
		Short:  "Hold the namespaces of a lab (started by lab run and lab up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if code := lab.KeeperMain(); code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
}

// meshFlag adds --mesh to a verb that talks to a running lab.
func meshFlag(cmd *cobra.Command, mesh *string) {
	cmd.Flags().StringVar(mesh, "mesh", "", "name of the mesh, if several labs are running")
	_ = cmd.RegisterFlagCompletionFunc("mesh", completeMesh)
}

func completeMesh(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	running, err := lab.Running()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return running, cobra.ShellCompDirectiveNoFileComp
}

// standardFile returns the file behind a stream of the command, so that it can
// be passed to another process; a stream that is no file becomes the standard one.
func standardFile(stream any, standard *os.File) *os.File {
	if f, ok := stream.(*os.File); ok {
		return f
	}
	return standard
}
