package draw

import (
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Mermaid writes the plan as a flowchart, which many wikis draw from a code block.
func Mermaid(p mesh.Plan) string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	known := map[string]int{}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		known[n.Name] = i
		lines := []string{"<b>" + entity(n.Name) + "</b>"}
		if n.Machine != "" {
			lines = append(lines, entity(n.Machine))
		}
		for _, a := range n.Identity {
			lines = append(lines, entity(a.String()))
		}
		fmt.Fprintf(&b, "    n%d[\"%s\"]\n", i, strings.Join(lines, "<br/>"))
	}
	for i := range p.Cables {
		c := &p.Cables[i]
		from, ok := known[c.Ends[0].Node]
		to, ok2 := known[c.Ends[1].Node]
		if !ok || !ok2 {
			continue
		}
		what := entity(c.Name) + ": " + entity(c.Ends[0].Port) + " \u2013 " + entity(c.Ends[1].Port)
		fmt.Fprintf(&b, "    n%d ---|\"%s\"| n%d\n", from, what, to)
	}
	return b.String()
}

// entity writes what could mean something to Mermaid or HTML as a Mermaid entity code
// (#NN;).
func entity(s string) string {
	var b strings.Builder
	for _, r := range plainText(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 127, strings.ContainsRune(" -_.:,/", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}
