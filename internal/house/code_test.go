package house

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPackageComments wants exactly one package comment per package, in the form
// that godoc shows: a second one is appended by godoc in an order nobody chose.
func TestPackageComments(t *testing.T) {
	with := map[string][]string{} // folder -> files with a package comment
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			continue
		}
		dir := path.Dir(name)
		with[dir] = append(with[dir], nil...)
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.Doc == nil {
			continue
		}
		with[dir] = append(with[dir], name)
		want := "Package " + f.Name.Name + " "
		if f.Name.Name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(f.Doc.Text(), want) {
			t.Errorf("%s: the package comment does not begin with %q", name, want)
		}
	}
	for dir, names := range with {
		if len(names) != 1 {
			t.Errorf("%s: package comments in %d files, want one: %v", dir, len(names), names)
		}
	}
}

// longFiles may have more than maxLines, for the reason given.
var longFiles = map[string]string{}

const maxLines = 500

// TestFileSizes keeps a file to what can be read in one go.
func TestFileSizes(t *testing.T) {
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		lines := strings.Count(read(t, name), "\n")
		switch reason := longFiles[name]; {
		case lines > maxLines && reason == "":
			t.Errorf("%s has %d lines, more than %d: split it by subject, or give the reason in longFiles", name, lines, maxLines)
		case lines <= maxLines && reason != "":
			t.Errorf("%s has only %d lines: take it off longFiles", name, lines)
		}
	}
	for name := range longFiles {
		read(t, name) // no reason outlives its file
	}
}

// A path of somebody's own machine: a home directory or a workspace.
var machinePath = regexp.MustCompile(`(^|[\s"'=:(` + "`" + `])/(root|home/\w+|Users/\w+|work|shared)/\w`)

// TestNoMachinePaths finds paths that exist on the author's machine only.
func TestNoMachinePaths(t *testing.T) {
	for _, probe := range []string{"cd /ro" + "ot/x", `"/home` + `/ann/mesh.yaml"`} {
		if !machinePath.MatchString(probe) {
			t.Fatalf("the pattern does not find %q", probe)
		}
	}
	for _, name := range files(t) {
		if name == "LICENSE" || name == "go.sum" || strings.Contains(name, "/testdata/fuzz/") {
			continue
		}
		n := 0
		for line := range strings.Lines(read(t, name)) {
			n++
			if m := machinePath.FindString(line); m != "" {
				t.Errorf("%s:%d: %q is a path of one machine", name, n, strings.TrimSpace(m))
			}
		}
	}
}
