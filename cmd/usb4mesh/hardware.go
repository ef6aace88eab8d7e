package main

import (
	"path/filepath"

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
	if isHere(root) {
		hw.AddLive(&h)
	}
	return h, findings, nil
}

// isHere reports whether root is this very machine.
func isHere(root string) bool { return filepath.Clean(root) == "/" }

// completeInterface completes the USB4 interfaces of the machine below --root.
func completeInterface(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	root, err := cmd.Flags().GetString("root")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	h, _, err := scan(root)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return interfaces(h), cobra.ShellCompDirectiveNoFileComp
}

// interfaces names the interfaces of a machine's USB4 links.
func interfaces(h mesh.Hardware) []string {
	var names []string
	for _, l := range h.Links {
		if l.Interface != "" {
			names = append(names, l.Interface)
		}
	}
	return names
}
