package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// version is set by the Makefile; go install leaves it to the build info.
var version = ""

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	code, text := exitCode(ctx, root.ExecuteContext(ctx))
	if text != "" {
		fmt.Fprintf(s.err, "usb4mesh: %s\n", text)
	}
	if code == exitUsage {
		fmt.Fprintln(s.err, "Run usb4mesh --help, or a verb with --help, to see what is possible.")
	}
	return code
}

// newRootCommand builds the whole command tree anew, so that tests can run it twice.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "usb4mesh",
		Short: "A planned, proven, self-healing network out of USB4 cables",
		Long: `usb4mesh turns the USB4 or Thunderbolt cables between a few machines into a network:
from one cluster file it plans cables, names, addresses and routes, proves that any
single cable may fail, writes the configuration for each machine's own system, and
shows in a lab on this one machine that it all works.`,
		Example: `  usb4mesh check examples/seed-identity/mesh.yaml
  usb4mesh plan examples/seed-identity/mesh.yaml
  usb4mesh render examples/seed-identity/mesh.yaml --node 03
  usb4mesh lab run examples/seed-identity/mesh.yaml`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddGroup(
		&cobra.Group{ID: "plan", Title: "Plan:"},
		&cobra.Group{ID: "run", Title: "Run and see:"},
		&cobra.Group{ID: "help", Title: "Reference:"},
	)
	root.SetHelpCommandGroupID("help")
	root.SetCompletionCommandGroupID("help")
	root.AddCommand(
		newCheckCommand(),
		newPlanCommand(),
		newRenderCommand(),
		newSimulateCommand(),
		newDesignCommand(),
		newLabCommand(),
		newDiscoverCommand(),
		newDiagnoseCommand(),
		newCollectCommand(),
		newAgentCommand(),
		newStatusCommand(),
		newRebootCheckCommand(),
		newBenchCommand(),
		newMachinesCommand(),
		newSchemaCommand(),
		newGenerateCommand(),
	)
	wrapArgs(root)
	return root
}

// wrapArgs makes every complaint about arguments a usage error.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &exitError{exitUsage, err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

// colour reports whether w is a terminal that wants colours (no-color.org).
func colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
