// Package catalog knows machines and prices: which USB4 ports they have, and at which PCI
// path each port's host controller sits.
//
// The facts are data, in machines.yaml, each with its source. Machines that are
// not here can be described by hand in the cluster file; nothing else depends on
// the catalogue.
package catalog

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Machine is a model of computer.
type Machine struct {
	Key        string // what the cluster file calls it: um790-pro
	Name       string // as the vendor calls it
	Vendor     string
	Controller string   // kind of USB4 host controller, in words
	Ports      []Port   // in the order in which the planner uses them
	Sources    []string // where the facts were published
	Note       string   // what to check on the machine; "" if everything is certain
	Certain    bool     // all ports are certain
}

// Port is a USB4 connector of a model.
type Port struct {
	mesh.Port
	Socket  string // where it is on the case, "" if nobody has published it
	Certain bool   // path and socket are both published for this model
}

//go:embed machines.yaml
var data []byte

var machines = load(data)

// Machines returns all machines, sorted by key. The caller may change the slice.
func Machines() []Machine {
	out := slices.Clone(machines)
	for i := range out {
		out[i].Ports = slices.Clone(out[i].Ports)
		out[i].Sources = slices.Clone(out[i].Sources)
	}
	return out
}

// Lookup returns the machine with the given key.
func Lookup(key string) (Machine, bool) {
	for _, m := range Machines() {
		if m.Key == key {
			return m, true
		}
	}
	return Machine{}, false
}

// Suggest returns the keys of up to three machines that an unknown key may mean,
// nearest first. Names count too ("Beelink GTR7"), spaces and hyphens do not.
func Suggest(key string) []string {
	squeeze := strings.NewReplacer(" ", "", "-", "", "_", "").Replace
	words := map[string]string{}
	var keys, names []string
	for _, m := range machines {
		keys = append(keys, squeeze(m.Key))
		names = append(names, squeeze(m.Name))
		words[squeeze(m.Key)], words[squeeze(m.Name)] = m.Key, m.Key
	}
	near := finding.Suggest(squeeze(key), keys)
	if len(near) == 0 {
		near = finding.Suggest(squeeze(key), names)
	}
	for i, w := range near {
		near[i] = words[w]
	}
	return near
}

// file is the form of machines.yaml.
type file []struct {
	Key, Name, Vendor, Controller, Note string
	Ports                               []struct {
		Name, Path, Socket string
		Adapter            int
		Certain            bool
	}
	Sources []string
}

// load reads the embedded data. It panics on data that the tests of this package
// would not have let through.
func load(data []byte) []Machine {
	var f file
	if err := yaml.Load(data, &f, yaml.WithKnownFields()); err != nil {
		panic(fmt.Sprintf("catalog: machines.yaml: %v", err))
	}
	var out []Machine
	for _, e := range f {
		m := Machine{Key: e.Key, Name: e.Name, Vendor: e.Vendor, Controller: e.Controller, Note: e.Note, Sources: e.Sources, Certain: true}
		for _, p := range e.Ports {
			m.Ports = append(m.Ports, Port{mesh.Port{Name: p.Name, Path: p.Path, Adapter: p.Adapter}, p.Socket, p.Certain})
			m.Certain = m.Certain && p.Certain
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Machine) int { return strings.Compare(a.Key, b.Key) })
	return out
}
