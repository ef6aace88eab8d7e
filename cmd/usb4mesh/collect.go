package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/diagnose"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func newCollectCommand() *cobra.Command {
	var root, out string
	var asFixture, list bool
	cmd := &cobra.Command{
		Use:     "collect",
		GroupID: "run",
		Short:   "Pack what a bug report needs",
		Long: `collect packs what usb4mesh reads of this machine into one archive: the parts of /sys and
/proc about USB4, the driver's lines of the kernel log, links, addresses and routes of the
mesh, what discover and diagnose say, and versions. It prints what is inside.

Left out or masked: other programs, other interfaces' addresses and routes, serial numbers,
the kernel command line. Kept, since cables can't be told without them: the host name, the
UUIDs of USB4 routers and the MAC addresses derived from these. Read the archive before you
publish it. --as-fixture writes text that the tests of usb4mesh load as a machine.`,
		Example: `  usb4mesh collect
  usb4mesh collect --list
  usb4mesh collect --as-fixture --out node1.txtar`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, node, err := collect(cmd.Context(), root)
			if err != nil {
				return err
			}
			if list {
				_, err := io.WriteString(cmd.OutOrStdout(), hw.Contents(files))
				return err
			}
			var b bytes.Buffer
			name := "usb4mesh-" + node
			if asFixture {
				b.Write(hw.Fixture(slices.DeleteFunc(files, ours), "Collected by usb4mesh "+versionText()+" on "+node+"."))
				name += ".txtar"
			} else {
				if err := hw.WriteTar(&b, name, files); err != nil {
					return err
				}
				name += ".tar.gz"
			}
			if out == "-" {
				_, err := cmd.OutOrStdout().Write(b.Bytes())
				return err
			}
			if out == "" {
				out = name
			}
			if err := os.WriteFile(filepath.Clean(out), b.Bytes(), 0o600); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s written, %d bytes; look through it before you publish it\n", out, b.Len())
			_, err = io.WriteString(cmd.OutOrStdout(), hw.Contents(files))
			return err
		},
	}
	f := cmd.Flags()
	rootFlag(cmd, &root)
	f.StringVar(&out, "out", "", "file to write; - is stdout (usb4mesh-NODE.tar.gz if not given)")
	f.BoolVar(&asFixture, "as-fixture", false, "write a txtar archive that tests can load")
	f.BoolVar(&list, "list", false, "only list what would be packed")
	return cmd
}

// answers are files of the bundle that usb4mesh wrote itself, and no part of the machine.
const answers = "usb4mesh/answers/"

func ours(f hw.File) bool { return strings.HasPrefix(f.Name, answers) }

// collect gathers the files of a bundle, sorted, and the name of the machine.
func collect(ctx context.Context, root string) ([]hw.File, string, error) {
	fsys, err := hw.Open(root)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = fsys.Close() }() // nothing was written
	files, h, findings := hw.Collect(fsys, isHere(root))
	add := func(name string, v any) {
		text, isText := v.(string)
		if !isText {
			var b bytes.Buffer
			if err := writeJSON(&b, v); err != nil {
				text = err.Error() + "\n"
			} else {
				text = b.String()
			}
		}
		files = append(files, hw.File{Name: answers + name, Data: []byte(text)})
	}
	add("discover.json", hardwareToJSON(h, findings))
	add("diagnose.json", map[string]any{"findings": masked(diagnose.Run(diagnose.Input{Hardware: h}), &h)})
	add("version", fmt.Sprintf("usb4mesh %s\n%s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
	if isHere(root) {
		add("state", networkState(ctx, &h))
	}
	slices.SortFunc(files, func(a, b hw.File) int { return strings.Compare(a.Name, b.Name) })
	return files, fileName(h.Node), nil
}

// masked takes addresses out of lines of the kernel log that findings quote.
func masked(fs []diagnose.Finding, h *mesh.Hardware) json.RawMessage {
	b, err := json.Marshal(emptyNotNull(fs))
	if err != nil {
		b, _ = json.Marshal(err.Error()) // a string always marshals
	}
	for _, f := range fs {
		for key, value := range f.Evidence {
			if strings.HasPrefix(key, "kernel log") {
				old, _ := json.Marshal(value)
				hidden, _ := json.Marshal(hw.Mask(value, h))
				b = bytes.ReplaceAll(b, old, hidden)
			}
		}
	}
	return b
}

// networkState lists what of links, addresses, routes and rules is the mesh's.
func networkState(ctx context.Context, h *mesh.Hardware) string {
	k, err := kernel.Open()
	if err != nil {
		return "not readable: " + err.Error() + "\n"
	}
	s, err := k.Snapshot(ctx)
	if err = errors.Join(err, k.Close()); err != nil {
		return "not readable: " + err.Error() + "\n"
	}
	mine := map[string]bool{mesh.IdentityInterface: true}
	for _, l := range h.Links {
		mine[l.Interface] = l.Interface != ""
	}
	var b strings.Builder
	for _, l := range s.Links {
		if mine[l.Name] || strings.HasPrefix(l.Alias, mesh.AliasPrefix) {
			mine[l.Name] = true
			fmt.Fprintf(&b, "%s up %t carrier %t alias %q\n", l, l.Up, l.Carrier, l.Alias)
		}
	}
	for _, a := range s.Addresses {
		if mine[a.Interface] {
			fmt.Fprintln(&b, a)
		}
	}
	for _, r := range s.Routes {
		if mine[r.Interface] || r.Protocol == mesh.RouteProtocol {
			fmt.Fprintln(&b, r)
		}
	}
	for _, r := range s.Rules {
		if r.Priority >= mesh.RulePriorityFirst && r.Priority <= mesh.RulePriorityLast {
			fmt.Fprintln(&b, r)
		}
	}
	for _, x := range s.Sysctls {
		if mine[x.Interface()] || x.Interface() == "" {
			fmt.Fprintln(&b, x)
		}
	}
	if b.Len() == 0 {
		return "nothing of a mesh is in this kernel\n"
	}
	return b.String()
}

// fileName makes a file name of a host name.
func fileName(host string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, host)
	if name == "" {
		return "machine"
	}
	return name[:min(len(name), 63)]
}
