package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manDate is fixed, so that equal sources build equal pages.
var manDate = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

func newGenerateCommand() *cobra.Command {
	var man string
	cmd := &cobra.Command{
		Use:     "generate",
		Short:   "Write man pages and shell completions (for packagers)",
		Long:    `generate writes the man pages of all verbs, and bash, zsh and fish completions, into a directory.`,
		Example: `  usb4mesh generate --dir build`,
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			for _, d := range []string{"man", "completions"} {
				if err := os.MkdirAll(filepath.Join(man, d), 0o755); err != nil {
					return err
				}
			}
			header := &doc.GenManHeader{Title: "USB4MESH", Section: "1", Source: "usb4mesh", Date: &manDate}
			if err := doc.GenManTree(root, header, filepath.Join(man, "man")); err != nil {
				return err
			}
			c := filepath.Join(man, "completions")
			if err := root.GenBashCompletionFileV2(filepath.Join(c, "usb4mesh.bash"), true); err != nil {
				return err
			}
			if err := root.GenZshCompletionFile(filepath.Join(c, "_usb4mesh")); err != nil {
				return err
			}
			return root.GenFishCompletionFile(filepath.Join(c, "usb4mesh.fish"), true)
		},
	}
	cmd.Flags().StringVar(&man, "dir", "build", "directory to write to")
	return cmd
}
