package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/usb4mesh/usb4mesh/internal/agent"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/status"
)

func newStatusCommand() *cobra.Command {
	var (
		socket        string
		watch, asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: "run",
		Short:   "What is up, what is not, and since when, as the agent of this machine knows it",
		Long: `status asks the agent of this machine and shows its links with trained speed and liveness,
the nodes of the mesh with the way in use to each, detours, cables elsewhere that are out,
what the agent did to heal a link, and findings.

With --watch the screen is drawn anew whenever something changes, until Ctrl-C.

The agent answers root and the group of its socket. Exit code 0 if the mesh is as planned,
4 if the agent is starting, degraded or failed, 1 if no agent answers.`,
		Example: `  usb4mesh status
  usb4mesh status --watch
  usb4mesh status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := status.Client{Socket: socket}
			if watch {
				return watchStatus(cmd.Context(), client, cmd.OutOrStdout(), asJSON)
			}
			s, raw, err := client.Get(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = writeRaw(cmd.OutOrStdout(), raw)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), status.Screen(s, statusLook(cmd.OutOrStdout())))
			}
			if err == nil && s.State != mesh.StateConverged {
				return &exitError{code: exitProblems}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&watch, "watch", "w", false, "stay, and show every change")
	f.BoolVar(&asJSON, "json", false, "print the status as JSON; with --watch a line for each change")
	f.StringVar(&socket, "socket", agent.DefaultSocket, "the agent's socket")
	_ = cmd.MarkFlagFilename("socket", "sock")
	return cmd
}

// writeRaw writes the JSON of an agent indented, with fields that this program
// does not know.
func writeRaw(w io.Writer, raw []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(w)
	return err
}

// maxColumns is where a wider terminal ceases to help reading.
const maxColumns = 120

// statusLook fits the screen to w.
func statusLook(w io.Writer) status.Look {
	look := status.Look{Colour: colour(w)}
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			look.Width = min(columns, maxColumns)
		}
	}
	return look
}
