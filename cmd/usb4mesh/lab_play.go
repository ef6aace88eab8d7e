package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/lab"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

func newLabExecCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "exec NODE -- COMMAND [ARGS...]",
		Short: "Run a command in a node of the running lab",
		Long: `exec runs a command in a node, with this terminal's input and output, and ends with its
exit code. Signals are passed on. A shell works, without job control.`,
		Example: `  usb4mesh lab exec 01 -- ip route
  usb4mesh lab exec 02 -- iperf3 --server`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, argv := args[0], args[1:]
			if argv[0] == "--" { // optional: what follows the node is the command's
				argv = argv[1:]
			}
			if len(argv) == 0 {
				return usageError("say what to run: lab exec %s -- COMMAND", node)
			}
			ctx := cmd.Context()
			l, err := lab.Attach(ctx, name)
			if err != nil {
				return err
			}
			defer l.Close()
			signals := make(chan os.Signal, 8)
			signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
			defer signal.Stop(signals)
			dir, err := os.Getwd()
			if err != nil {
				dir = "/"
			}
			// Ctrl-C is the command's business: it is passed on as a signal, and
			// the context that it cancels is not used.
			code, err := l.Exec(context.WithoutCancel(ctx),
				lab.Command{Node: node, Argv: argv, Env: os.Environ(), Dir: dir},
				[3]*os.File{
					standardFile(cmd.InOrStdin(), os.Stdin),
					standardFile(cmd.OutOrStdout(), os.Stdout),
					standardFile(cmd.ErrOrStderr(), os.Stderr),
				}, signals)
			if err == nil && code != 0 {
				return &exitError{code: code}
			}
			return err
		},
	}
	cmd.Flags().SetInterspersed(false)
	meshFlag(cmd, &name)
	return cmd
}

func newLabUnplugCommand() *cobra.Command {
	var name, how string
	var end int
	cmd := &cobra.Command{
		Use:   "unplug CABLE",
		Short: "Cut a cable of the running lab",
		Long: `unplug takes a cable out: delete removes the interfaces at both ends, as the driver does;
carrier sets the interface at --end down; silent drops every frame while carrier stays;
one-way drops what --end sends. Nothing reacts but the kernel, unless the lab was started
with --apply agent. CABLE is a number or name (1), the two nodes (01-02), or a
port (01:left).`,
		Example: `  usb4mesh lab unplug 1
  usb4mesh lab unplug 01-02 --how carrier --end 1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if how == "all" {
				return usageError("--how all is for lab run: use one of %s", strings.Join(lab.Kinds(), ", "))
			}
			if _, err := cutKinds([]string{how}); err != nil {
				return err
			}
			if end != 0 && end != 1 {
				return usageError("--end is 0 or 1, in the order of lab status")
			}
			l, err := lab.Attach(cmd.Context(), name)
			if err != nil {
				return err
			}
			defer l.Close()
			cable, err := runningCable(cmd.Context(), l, args[0])
			if err != nil {
				return err
			}
			m, err := l.Cut(cmd.Context(), cable, how, end)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Cable %s is cut (%s); it took %.1f ms.\n", cable, how, float64(m.End-m.Begin)/1e6)
			return nil
		},
	}
	cmd.Flags().StringVar(&how, "how", lab.Delete, strings.Join(lab.Kinds(), ", "))
	cmd.Flags().IntVar(&end, "end", 0, "the end that is set down or unheard, 0 or 1")
	_ = cmd.RegisterFlagCompletionFunc("how", completeWords(lab.Kinds()...))
	meshFlag(cmd, &name)
	return cmd
}

func newLabPlugCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:     "plug CABLE",
		Short:   "Put a cut cable of the running lab back",
		Example: `  usb4mesh lab plug 1`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Attach(cmd.Context(), name)
			if err != nil {
				return err
			}
			defer l.Close()
			cable, err := runningCable(cmd.Context(), l, args[0])
			if err != nil {
				return err
			}
			if _, err := l.Plug(cmd.Context(), cable); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Cable %s is plugged.\n", cable)
			return nil
		},
	}
	meshFlag(cmd, &name)
	return cmd
}

// runningCable is oneCable for a running lab.
func runningCable(ctx context.Context, l *lab.Lab, called string) (string, error) {
	s, err := l.Status(ctx)
	if err != nil {
		return "", err
	}
	var p mesh.Plan
	for _, c := range s.Cables {
		cable := mesh.CablePlan{Name: c.Name}
		for i, e := range c.Ends {
			cable.Ends[i].Node, cable.Ends[i].Port, _ = strings.Cut(e.Endpoint, ":")
		}
		p.Cables = append(p.Cables, cable)
	}
	return oneCable(&p, called)
}

// oneCable resolves what a person calls a cable, as simulate does, to its name.
func oneCable(p *mesh.Plan, called string) (string, error) {
	cables, _ := plan.Element(p, called)
	switch len(cables) {
	case 0:
		var names []string
		for _, c := range p.Cables {
			names = append(names, fmt.Sprintf("%s (%s-%s)", c.Name, c.Ends[0].Node, c.Ends[1].Node))
		}
		return "", usageError("no cable is called %q; there are %s", called, strings.Join(names, ", "))
	case 1:
		return p.Cables[cables[0]].Name, nil
	}
	var names []string
	for _, i := range cables {
		names = append(names, p.Cables[i].Name)
	}
	return "", usageError("%s could be any of the cables %s: name one", called, strings.Join(names, ", "))
}
