package main

import (
	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/config"
)

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		GroupID: "help",
		Short:   "Print the JSON Schema of the cluster file",
		Long: `schema prints the JSON Schema of the cluster file, so that editors can complete and
check it while you type. In VS Code, or any editor with yaml-language-server, put
# yaml-language-server: $schema=mesh.schema.json
on the first line of mesh.yaml.`,
		Example: `  usb4mesh schema > mesh.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
