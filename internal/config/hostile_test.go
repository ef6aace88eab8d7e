package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostile gives Parse files of the largest size that would make careless code
// quadratic. Each takes well under a second of processor time; the limit leaves
// room for busy machines, and a square would take many minutes.
func TestHostile(t *testing.T) {
	const head = "mesh: m\nidentity: [10.7.1.0/24]\n"
	fill := func(head, format, tail string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len()+len(tail)+len(format)+20 < maxFile; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String() + tail
	}
	nodes := func() string {
		var b strings.Builder
		b.WriteString(head + "nodes:\n")
		for i := range maxNodes {
			fmt.Fprintf(&b, "  - {name: node-with-a-rather-long-name-%d, machine: x}\n", i)
		}
		return b.String()
	}()
	for name, src := range map[string]string{
		"unknown keys in one line":  fill("{", "k%d: 1, ", "}"),
		"unknown keys":              fill("", "k%d: 1\n", ""),
		"duplicate keys":            fill("", "mesh: %d\n", ""),
		"values in one line":        fill("mesh: [", "%d,", "]"),
		"nodes in one line":         fill("nodes: [", "{name: _%d},", "]"),
		"ports":                     fill(head+"nodes:\n  - name: a\n    ports: {", "P%d: {path: x},", "}\n"),
		"cables named by number":    fill(head+"cables:\n", "- {name: '%d'}\n", ""),
		"cables to unknown nodes":   fill(nodes+"cables:\n", "- {endpoints: [node-with-a-rather-long-name-x%d, b]}\n", ""),
		"one long word":             head + "topology: " + strings.Repeat("x", maxFile-100) + "\n",
		"one long quoted word":      head + `topology: "` + strings.Repeat(`\n`, maxFile/2-100) + "\"\n",
		"brackets":                  strings.Repeat("[", maxFile),
		"hyphens":                   strings.Repeat("- ", maxFile/2),
		"question marks":            strings.Repeat("? ", maxFile/2),
		"colons":                    strings.Repeat("a: ", maxFile/3),
		"aliases":                   fill("a: &a [x]\nb: [", "*a,\n", "]"),
		"anchors":                   fill("b: [", "&a%d x,\n", "]"),
		"tabs":                      strings.Repeat("\t\n", maxFile/2-1) + "\ta",
		"comments":                  strings.Repeat("#\n", maxFile/2),
		"null bytes":                strings.Repeat("\x00\n", maxFile/2),
		"invalid bytes in one line": strings.Repeat("\xff", maxFile),
		"documents":                 strings.Repeat("---\n", maxFile/4),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, fs := Parse("m", []byte(src))
			if d := time.Since(start); d > time.Minute {
				t.Errorf("%d bytes took %v", len(src), d)
			} else {
				t.Logf("%d bytes, %d findings, %v", len(src), len(fs), d.Round(time.Millisecond))
			}
			if len(fs) == 0 || len(fs) > maxFindings+1 {
				t.Errorf("%d findings", len(fs))
			}
			checkWellFormed(t, []byte(src), fs)
		})
	}
}
