package main

import (
	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// rootFlag adds --root to a verb that looks at a machine.
func rootFlag(cmd *cobra.Command, root *string) {
	cmd.Flags().StringVar(root, "root", "/", "folder that holds the machine's sys and proc")
	_ = cmd.MarkFlagDirname("root")
}

// scan reads the machine below root; "/" is this one, of which the kernel is asked too.
func scan(root string) (mesh.Hardware, []finding.Finding, error) {
	fsys, err := hw.Open(root)
	if err != nil {
		return mesh.Hardware{}, nil, err
	}
	defer func() { _ = fsys.Close() }() // nothing was written
	h, findings := hw.Scan(fsys)
	if root == "/" {
		hw.AddLive(&h)
	}
	return h, findings, nil
}
