package draw

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// DOT writes the plan for Graphviz: nodes are records with a field for each port, and
// cables join fields. Draw it with `neato` or `fdp`.
func DOT(p mesh.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s {\n", quote(title(p)))
	b.WriteString("\tlayout=neato; overlap=false; splines=true; sep=\"+24\";\n")
	b.WriteString("\tnode [shape=Mrecord, fontname=\"sans-serif\"];\n\tedge [fontname=\"sans-serif\", penwidth=2];\n\n")
	known := map[string]int{}
	ports := make([]map[string]int, len(p.Nodes))
	for i := range p.Nodes {
		n := &p.Nodes[i]
		known[n.Name] = i
		ports[i] = map[string]int{}
		head := []string{n.Name}
		if n.Machine != "" {
			head = append(head, n.Machine)
		}
		for _, a := range n.Identity {
			head = append(head, a.String())
		}
		for k := range head {
			head[k] = record(head[k])
		}
		fields := []string{strings.Join(head, `\n`)}
		var sockets []string
		for k, l := range n.Links {
			ports[i][l.Port.Name] = k
			sockets = append(sockets, fmt.Sprintf("<p%d> %s", k, record(l.Port.Name)))
		}
		if len(sockets) > 0 {
			fields = append(fields, "{"+strings.Join(sockets, "|")+"}")
		}
		fmt.Fprintf(&b, "\tn%d [label=\"{%s}\"];\n", i, strings.Join(fields, "|"))
	}
	b.WriteString("\n")
	for i := range p.Cables {
		c := &p.Cables[i]
		var ends []string
		for _, e := range c.Ends {
			n, ok := known[e.Node]
			if !ok {
				break
			}
			end := fmt.Sprintf("n%d", n)
			if k, ok := ports[n][e.Port]; ok {
				end += fmt.Sprintf(":p%d", k)
			}
			ends = append(ends, end)
		}
		if len(ends) == 2 {
			fmt.Fprintf(&b, "\t%s -- %s [label=%s, tooltip=%s];\n", ends[0], ends[1], quote(c.Name), quote(label(c)))
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// quote writes a DOT string, in which only " and \ mean something.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plainText(s)) + `"`
}

// plainText replaces what is no text: control characters, which end a string for
// Graphviz, and broken UTF-8.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// record escapes text in the label of a record (Graphviz, "Record-based Nodes"), which
// itself stands in a DOT string.
func record(s string) string {
	var b strings.Builder
	for _, r := range plainText(s) {
		switch {
		case strings.ContainsRune(`{}|<>\ `, r):
			b.WriteString(`\`)
			b.WriteRune(r)
		case r == '"':
			b.WriteString(`\"`)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
