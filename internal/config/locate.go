package config

import (
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Locate gives findings that have a Path, and no place yet, their place in the
// file: Pos, Width and Source. A path that the file does not spell out gets the
// nearest place around it; if there is none but the whole file, or the file can't
// be read, only the file's name is set. Other findings stay as they are.
//
// Paths join keys with dots and elements with [n], counted from 0; keys that hold
// more than letters, digits, _ and - stand as ["key"]:
//
//	nodes[2].settings.sysctl["net.core.rmem_max"]
func Locate(name string, src []byte, fs []finding.Finding) []finding.Finding {
	t := newText(name, src)
	var root *yaml.Node
	if t.checkBytes(src) {
		root = t.tree()
	}
	out := make([]finding.Finding, len(fs))
	for i, f := range fs {
		out[i] = f
		if f.Path == "" || !f.Pos.IsZero() {
			continue
		}
		if s, ok := t.find(root, f.Path); ok {
			out[i] = t.place(f, s)
		} else {
			out[i].Pos = finding.Pos{File: name}
		}
	}
	return out
}

// find walks a path as far as the file goes.
func (t *text) find(n *yaml.Node, path string) (s span, ok bool) {
	for _, step := range split(path) {
		if n == nil {
			break
		}
		var key, child *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == step.key && step.key != "" {
					key, child = n.Content[i], n.Content[i+1]
					break
				}
			}
		case yaml.SequenceNode:
			if step.key == "" && step.index < len(n.Content) {
				child = n.Content[step.index]
			}
		}
		if child == nil {
			break
		}
		n, ok = child, true
		s = t.spanOf(&value{key: key, node: child})
	}
	return s, ok
}

// step is one part of a path: a key, or the index of an element if key is "".
type step struct {
	key   string
	index int
}

// split takes a path apart; what follows a malformed part is left out.
func split(path string) []step {
	var steps []step
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case strings.HasPrefix(path, `["`):
			quoted, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return steps
			}
			key, err := strconv.Unquote(quoted)
			rest, closed := strings.CutPrefix(path[1+len(quoted):], "]")
			if err != nil || !closed {
				return steps
			}
			steps, path = append(steps, step{key: key}), rest
		case path[0] == '[':
			digits, rest, closed := strings.Cut(path[1:], "]")
			i, err := strconv.Atoi(digits)
			if err != nil || i < 0 || !closed {
				return steps
			}
			steps, path = append(steps, step{index: i}), rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			steps, path = append(steps, step{key: path[:end]}), path[end:]
		}
	}
	return steps
}
