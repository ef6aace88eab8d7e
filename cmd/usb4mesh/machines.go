package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/catalog"
)

func newMachinesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "machines [KEY]",
		GroupID: "help",
		Short:   "List the machines whose ports are known",
		Long: `machines lists the catalogue: key, ports with their PCI paths, controller, and with a
KEY also where each fact comes from. A port marked with ? is not certain.`,
		Example: `  usb4mesh machines
  usb4mesh machines um790-pro`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var keys []string
			for _, m := range catalog.Machines() {
				keys = append(keys, m.Key)
			}
			return keys, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			machines := catalog.Machines()
			if len(args) == 1 {
				m, ok := catalog.Lookup(args[0])
				if !ok {
					hint := ""
					if near := catalog.Suggest(args[0]); len(near) > 0 {
						hint = "; did you mean " + strings.Join(near, " or ") + "?"
					}
					return fmt.Errorf("no machine %q in the catalogue%s", args[0], hint)
				}
				machines = []catalog.Machine{m}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), struct {
					Machines []machineJSON `json:"machines"`
				}{machinesToJSON(machines)})
			}
			var t table
			for _, m := range machines {
				t.row("%s\t%s\t%s", m.Key, m.Name, portsText(m.Ports))
				if len(args) == 1 {
					t.row("\t%s", m.Controller)
					if m.Note != "" {
						t.row("\tnote: %s", m.Note)
					}
					for _, s := range m.Sources {
						t.row("\tsource: %s", s)
					}
				}
			}
			return t.flush(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the catalogue as JSON")
	return cmd
}

func portsText(ports []catalog.Port) string {
	var s []string
	for _, p := range ports {
		t := p.Name + " " + p.Path
		if p.Socket != "" {
			t += " (" + p.Socket + ")"
		}
		if p.Adapter != 0 {
			t += fmt.Sprintf(" adapter %d", p.Adapter)
		}
		if !p.Certain {
			t += "?"
		}
		s = append(s, t)
	}
	return strings.Join(s, ", ")
}

type (
	machineJSON struct {
		Key        string            `json:"key"`
		Name       string            `json:"name"`
		Controller string            `json:"controller"`
		Note       string            `json:"note,omitempty"`
		Sources    []string          `json:"sources"`
		Ports      []machinePortJSON `json:"ports"`
	}
	machinePortJSON struct {
		Name    string `json:"name"`
		Path    string `json:"path"`
		Adapter int    `json:"adapter,omitempty"`
		Socket  string `json:"socket,omitempty"`
		Certain bool   `json:"certain"`
	}
)

func machinesToJSON(machines []catalog.Machine) []machineJSON {
	out := []machineJSON{}
	for _, m := range machines {
		mj := machineJSON{Key: m.Key, Name: m.Name, Controller: m.Controller, Note: m.Note, Sources: emptyNotNull(m.Sources)}
		for _, p := range m.Ports {
			mj.Ports = append(mj.Ports, machinePortJSON{p.Name, p.Path, p.Adapter, p.Socket, p.Certain})
		}
		out = append(out, mj)
	}
	return out
}
