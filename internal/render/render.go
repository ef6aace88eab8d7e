// Package render writes the configuration of one node in the format of its
// operating system.
//
// Every format says the same: all of them are written from the units that
// units.go derives from the plan, so that a routing table can't differ between
// Debian and NixOS. The bytes depend on the plan alone and are equal from run
// to run. A format is one file: it adds itself to the table formats below.
package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// File is one file of a node's configuration.
type File struct {
	// Path is relative to the root of the node's file system, or to the directory
	// that the user keeps such files in (a NixOS configuration); slashes, no dots.
	Path string
	Mode uint32 // permission bits
	Data []byte
}

// Options change what is rendered for a node.
type Options struct {
	// IdentityKind is the kind of the identity interface. The zero value means
	// mesh.KindDummy; mesh.KindBridge stands in where the kernel has no dummy.
	IdentityKind mesh.LinkKind
}

// Format names of this package.
const (
	Networkd = "networkd"
	NixOS    = "nixos"

	// DefaultFormat is used where neither the caller nor the cluster file asks for one.
	DefaultFormat = Networkd
)

// formats holds a writer per format.
var formats = map[string]func(system) []File{
	Networkd: writeNetworkd,
	NixOS:    writeNixOS,
}

// Formats returns the names of all formats, sorted.
func Formats() []string {
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Files returns the configuration of a node, sorted by path. An empty format
// means the one that the plan names for the node, else DefaultFormat. Without
// errors among the findings there is at least one file; with errors there is none.
func Files(p mesh.Plan, node, format string) ([]File, []finding.Finding) {
	return FilesWith(p, node, format, Options{})
}

// FilesWith is Files with options.
func FilesWith(p mesh.Plan, node, format string, o Options) ([]File, []finding.Finding) {
	n := p.Node(node)
	if n == nil {
		f := finding.New(unknownNode, "the plan has no node %q", node)
		return nil, []finding.Finding{f.Hinted("nodes of this mesh: %s", strings.Join(nodeNames(p), ", "))}
	}
	format = cmp.Or(format, n.Format, DefaultFormat)
	write, ok := formats[format]
	if !ok {
		f := finding.New(unknownFormat, "node %s: there is no format %q", node, format)
		return nil, []finding.Finding{f.Hinted("formats: %s", strings.Join(Formats(), ", "))}
	}
	if o.IdentityKind == "" {
		o.IdentityKind = mesh.KindDummy
	}
	sys, fs := newSystem(p, n, o)
	if finding.HasErrors(fs) {
		return nil, fs
	}
	files := write(sys)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files, fs
}

func nodeNames(p mesh.Plan) []string {
	var names []string
	for _, n := range p.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// HeaderStart begins every rendered file: by it usb4mesh knows its own files.
const HeaderStart = "# Written by usb4mesh "

// header returns the comment lines that start every file. All formats so far
// use # for comments.
func (s system) header() string {
	return fmt.Sprintf(HeaderStart+"for node %s of mesh %s from %s.\n"+
		"# Do not edit; change the cluster file and render again.\n",
		oneLine(s.node), oneLine(s.mesh), oneLine(s.source))
}

// oneLine keeps a name from ending the comment it stands in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\\' || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
