package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Format writes a cluster as a cluster file, which Parse reads back as the same
// cluster. Lines of comment are put at its head.
func Format(c mesh.Cluster, comment ...string) []byte {
	var b strings.Builder
	for _, line := range comment {
		b.WriteString(strings.TrimRight("# "+strings.Map(dropControl, line), " ") + "\n")
	}
	if len(comment) > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "mesh: %s\n", quoted(c.Name))
	if len(c.Identity) > 0 {
		fmt.Fprintf(&b, "identity: %s\n", quotedAll(c.Identity))
	}
	if c.MTU != 0 {
		fmt.Fprintf(&b, "mtu: %d\n", c.MTU)
	}
	if c.Topology.Shape != "" {
		fmt.Fprintf(&b, "topology: {shape: %s", quoted(c.Topology.Shape))
		if c.Topology.Columns != 0 {
			fmt.Fprintf(&b, ", columns: %d", c.Topology.Columns)
		}
		if c.Topology.Hub != "" {
			fmt.Fprintf(&b, ", hub: %s", quoted(c.Topology.Hub))
		}
		b.WriteString("}\n")
	}
	b.WriteString("\nnodes:\n")
	for _, n := range c.Nodes {
		formatNode(&b, n)
	}
	if len(c.Cables) > 0 {
		b.WriteString("\ncables:\n")
	}
	for i, x := range c.Cables {
		fmt.Fprintf(&b, "  - endpoints: [%s, %s]\n", quoted(x.Ends[0].String()), quoted(x.Ends[1].String()))
		if x.Name != "" && x.Name != strconv.Itoa(i+1) {
			fmt.Fprintf(&b, "    name: %s\n", quoted(x.Name))
		}
		if len(x.Addresses) > 0 {
			fmt.Fprintf(&b, "    addresses: %s\n", quotedAll(x.Addresses))
		}
		if x.Speed != 0 {
			fmt.Fprintf(&b, "    speed: %d\n", x.Speed)
		}
	}
	formatAgent(&b, c.Agent)
	return []byte(b.String())
}

func formatNode(b *strings.Builder, n mesh.Node) {
	fmt.Fprintf(b, "  - name: %s\n", quoted(n.Name))
	if n.Machine != "" {
		fmt.Fprintf(b, "    machine: %s\n", quoted(n.Machine))
	}
	if len(n.Ports) > 0 {
		b.WriteString("    ports:\n")
	}
	for _, p := range n.Ports {
		fmt.Fprintf(b, "      %s: {path: %s", quoted(p.Name), quoted(p.Path))
		if p.Adapter != 0 {
			fmt.Fprintf(b, ", adapter: %d", p.Adapter)
		}
		b.WriteString("}\n")
	}
	if len(n.Identity) > 0 {
		fmt.Fprintf(b, "    identity: %s\n", quotedAll(n.Identity))
	}
	if n.Format != "" {
		fmt.Fprintf(b, "    format: %s\n", quoted(n.Format))
	}
	if len(n.Settings.Link)+len(n.Settings.Network)+len(n.Settings.Sysctl) == 0 {
		return
	}
	b.WriteString("    settings:\n")
	formatSettings(b, "link", n.Settings.Link)
	formatSettings(b, "network", n.Settings.Network)
	if len(n.Settings.Sysctl) > 0 {
		b.WriteString("      sysctl:\n")
	}
	for _, key := range slices.Sorted(maps.Keys(n.Settings.Sysctl)) {
		fmt.Fprintf(b, "        %s: %s\n", quoted(key), quoted(n.Settings.Sysctl[key]))
	}
}

// formatSettings writes sections and keys in the order in which they first come; a
// key that comes several times has a list.
func formatSettings(b *strings.Builder, file string, settings []mesh.Setting) {
	if len(settings) > 0 {
		fmt.Fprintf(b, "      %s:\n", file)
	}
	values := map[[2]string][]string{}
	var sections []string
	keys := map[string][]string{}
	for _, s := range settings {
		at := [2]string{s.Section, s.Key}
		if !slices.Contains(sections, s.Section) {
			sections = append(sections, s.Section)
		}
		if values[at] == nil {
			keys[s.Section] = append(keys[s.Section], s.Key)
		}
		values[at] = append(values[at], s.Value)
	}
	for _, section := range sections {
		fmt.Fprintf(b, "        %s:\n", quoted(section))
		for _, key := range keys[section] {
			v := values[[2]string{section, key}]
			if len(v) == 1 {
				fmt.Fprintf(b, "          %s: %s\n", quoted(key), quoted(v[0]))
			} else {
				fmt.Fprintf(b, "          %s: [%s]\n", quoted(key), joinQuoted(v))
			}
		}
	}
}

// quoted writes text so that every reader of YAML takes it for text: a JSON string
// is one of YAML's double-quoted scalars.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

func quotedAll[T fmt.Stringer](values []T) string {
	var words []string
	for _, v := range values {
		words = append(words, v.String())
	}
	return "[" + joinQuoted(words) + "]"
}

func joinQuoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quoted(w)
	}
	return strings.Join(out, ", ")
}

func dropControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}
