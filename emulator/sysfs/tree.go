// Package sysfs takes and compares copies of what a machine shows of its USB4 below /sys.
//
// A copy is a txtar archive: one entry a file, "TREE/HOST/sys/...", symbolic links with "@" at the end of
// their name and the target as content. The trees of usb4mesh's own tests have the same form.
package sysfs

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tree is files by path, without a leading slash. Names of links end with "@".
type Tree map[string]string

// Parse reads an archive and returns its trees by name, such as "amd-6.12/um790-01", and the comment at its head.
func Parse(archive []byte) (trees map[string]Tree, comment string) {
	trees = map[string]Tree{}
	var tree Tree
	name := ""
	for line := range bytes.Lines(archive) {
		text := strings.TrimRight(string(line), "\r\n")
		if inner, ok := strings.CutPrefix(text, "-- "); ok && strings.HasSuffix(inner, " --") {
			var host string
			host, name = split(strings.TrimSuffix(inner, " --"))
			if trees[host] == nil {
				trees[host] = Tree{}
			}
			tree = trees[host]
			tree[name] = ""
			continue
		}
		if tree == nil {
			comment += string(line)
			continue
		}
		tree[name] += string(line)
	}
	return trees, comment
}

// split parts "amd-6.12/um790-01/sys/bus" before its first element "sys" or "proc".
func split(name string) (tree, rest string) {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		if p == "sys" || p == "proc" {
			return strings.Join(parts[:i], "/"), strings.Join(parts[i:], "/")
		}
	}
	return "", name
}

// Format writes a tree as an archive.
func Format(name, comment string, t Tree) []byte {
	var b bytes.Buffer
	b.WriteString(comment)
	for _, file := range slices.Sorted(maps.Keys(t)) {
		text := t[file]
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") || strings.HasPrefix(text, "-- ") || strings.Contains(text, "\n-- ") {
			text = fmt.Sprintf("(%d bytes that are no text)\n", len(text))
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		fmt.Fprintf(&b, "-- %s --\n%s", path.Join(name, file), text)
	}
	return b.Bytes()
}
