package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/agent"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/status"
)

func newRebootCheckCommand() *cobra.Command {
	var socket string
	var asJSON, release bool
	var hold time.Duration
	cmd := &cobra.Command{
		Use:     "reboot-check",
		GroupID: "run",
		Short:   "May this machine reboot now without parting the mesh?",
		Long: `reboot-check asks the agent of this machine whether the other nodes still reach each other while
this one is down: over the cabling that is left now, with all of them there, and all running the
same plan.

Alone it is only a question: another machine that asks at the same moment gets the same answer.
With --hold the mesh agrees on it: the others count this node as gone for so long, and of two that
ask at once the one with the lower name wins, where both together would part the mesh. The
reservation ends with its time, when this node's agent starts again, or with --release. This takes
root, or the user of the agent, and about a second.

Exit code 0 if it may, 4 if it should not, 1 if no agent answers.`,
		Example: `  usb4mesh reboot-check
  usb4mesh reboot-check --hold 10m && systemctl reboot
  usb4mesh reboot-check --release`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch given := cmd.Flags().Changed("hold"); {
			case given && release:
				return usageError("--hold and --release exclude each other")
			case given && (hold < time.Second || hold > agent.MaxHold):
				return usageError("--hold %s: a time between 1s and %s", hold, agent.MaxHold)
			}
			verdict, err := askReboot(cmd.Context(), status.Client{Socket: socket}, hold, release)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), verdict)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), verdictText(verdict))
			}
			if err == nil && !verdict.OK && !release {
				return &exitError{code: exitProblems}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&socket, "socket", agent.DefaultSocket, "unix socket of the agent")
	f.BoolVar(&asJSON, "json", false, "print the verdict as JSON")
	f.DurationVar(&hold, "hold", 0, "if it may, make the other nodes count it as gone for so long, such as 10m")
	f.BoolVar(&release, "release", false, "end such a reservation")
	_ = cmd.MarkFlagFilename("socket", "sock")
	return cmd
}

func askReboot(ctx context.Context, c status.Client, hold time.Duration, release bool) (mesh.RebootVerdict, error) {
	switch {
	case hold > 0:
		return c.Reserve(ctx, hold)
	case release:
		return c.Release(ctx)
	}
	s, _, err := c.Get(ctx)
	return s.MayReboot(), err
}

func verdictText(v mesh.RebootVerdict) string {
	word := "no"
	if v.OK {
		word = "yes"
	}
	text := fmt.Sprintf("%s: %s\n", word, v.Reason)
	if !v.HeldUntil.IsZero() {
		text += fmt.Sprintf("The other nodes count this one as gone for %s.\n", time.Until(v.HeldUntil).Round(time.Second))
	}
	return text
}
