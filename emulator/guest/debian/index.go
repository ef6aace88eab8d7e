package debian

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"
)

// Package is one entry of an index.
type Package struct {
	Name, Version string
	Depends       []string // names; of alternatives the first, versions left out
	Provides      []string
	Filename      string // below the mirror
	Size          int64
	SHA256        string
	mirror        string
}

// Index is what a suite offers for amd64, in component main.
type Index struct {
	Suite    string
	Signed   string // how the signature of InRelease was checked, or why not
	packages map[string][]Package
	provides map[string]string
}

// keyrings are where debian-archive-keyring puts the keys of the archive.
var keyrings = []string{
	"/usr/share/keyrings/debian-archive-keyring.pgp",
	"/usr/share/keyrings/debian-archive-keyring.gpg",
}

// Fetch downloads the index of a suite such as "trixie".
func Fetch(ctx context.Context, mirror, suite string) (*Index, error) {
	return fetchIndex(ctx, mirror, suite, verify)
}

// verifier takes InRelease apart: what was signed, and how the signature was checked.
type verifier func(ctx context.Context, text []byte) (release []byte, how string, err error)

func fetchIndex(ctx context.Context, mirror, suite string, verify verifier) (*Index, error) {
	base := mirror + "/dists/" + suite + "/"
	var release []byte
	signed := ""
	err := fetch(ctx, base+"InRelease", 0, "", func(f *os.File) error {
		var err error
		if release, err = io.ReadAll(f); err != nil {
			return err
		}
		release, signed, err = verify(ctx, release)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("suite %s: %w", suite, err)
	}
	const name = "main/binary-amd64/Packages.xz"
	size, sum, err := statedIn(release, name)
	if err != nil {
		return nil, fmt.Errorf("suite %s: %w", suite, err)
	}
	x := &Index{Suite: suite, Signed: signed, packages: map[string][]Package{}, provides: map[string]string{}}
	// By hash, so that an update of the mirror between the two downloads does no harm.
	byHash := base + "main/binary-amd64/by-hash/SHA256/" + sum
	err = fetch(ctx, byHash, size, sum, func(f *os.File) error { return x.read(f, mirror) })
	if err != nil {
		return nil, fmt.Errorf("suite %s: %w", suite, err)
	}
	return x, nil
}

// verify checks the signature around InRelease and returns what was signed. Without gpgv or the
// keyring it returns the text inside the armour and says what is missing.
func verify(ctx context.Context, text []byte) (release []byte, how string, err error) {
	gpgv, lookErr := exec.LookPath("gpgv")
	ring := slices.IndexFunc(keyrings, func(p string) bool { _, err := os.Stat(p); return err == nil })
	switch {
	case lookErr != nil:
		return text, "not checked: there is no gpgv", nil
	case ring < 0:
		return text, "not checked: debian-archive-keyring is not installed", nil
	}
	// gpgv wants a home directory for its own files, and writes nothing there.
	cmd := exec.CommandContext(ctx, gpgv, "--homedir", os.TempDir(), "--keyring", keyrings[ring], "--output", "-")
	cmd.Stdin = bytes.NewReader(text)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return nil, "", fmt.Errorf("the signature of InRelease is not Debian's: gpgv: %w: %s", err, strings.TrimSpace(talk.String()))
	}
	return out.Bytes(), "by gpgv with " + filepath.Base(keyrings[ring]), nil
}

// statedIn finds size and SHA256 of a file in a Release file.
func statedIn(release []byte, name string) (size int64, sum string, err error) {
	inSHA256 := false
	for line := range strings.Lines(string(release)) {
		if !strings.HasPrefix(line, " ") {
			inSHA256 = strings.HasPrefix(line, "SHA256:")
			continue
		}
		words := strings.Fields(line)
		if inSHA256 && len(words) == 3 && words[2] == name {
			size, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil || len(words[0]) != 64 {
				return 0, "", fmt.Errorf("InRelease: bad entry %q", strings.TrimSpace(line))
			}
			return size, words[0], nil
		}
	}
	return 0, "", fmt.Errorf("InRelease names no %s", name)
}

func (x *Index) read(r io.Reader, mirror string) error {
	plain, err := xz.NewReader(r)
	if err != nil {
		return err
	}
	var bad error
	err = paragraphs(plain, func(block map[string]string) bool {
		var p Package
		if p, bad = parsePackage(block); bad != nil {
			return false
		}
		p.mirror = mirror
		x.packages[p.Name] = append(x.packages[p.Name], p)
		for _, name := range p.Provides {
			if _, taken := x.provides[name]; !taken {
				x.provides[name] = p.Name
			}
		}
		return true
	})
	if err == nil {
		err = bad
	}
	return err
}

func parsePackage(block map[string]string) (Package, error) {
	p := Package{
		Name: block["Package"], Version: block["Version"], Filename: block["Filename"], SHA256: block["SHA256"],
		Depends:  append(names(block["Pre-Depends"]), names(block["Depends"])...),
		Provides: names(block["Provides"]),
	}
	size, err := strconv.ParseInt(block["Size"], 10, 64)
	if err != nil || p.Name == "" || len(p.SHA256) != 64 || size <= 0 {
		return p, fmt.Errorf("package %q: incomplete entry in the index", p.Name)
	}
	p.Size = size
	return p, nil
}

// names returns the package names of a relation field, of alternatives the first.
func names(field string) []string {
	var all []string
	for relation := range strings.SplitSeq(field, ",") {
		first, _, _ := strings.Cut(relation, "|")
		name, _, _ := strings.Cut(strings.TrimSpace(first), " ")
		name, _, _ = strings.Cut(name, ":") // "perl:any"
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// Lookup finds a package, or one that provides the name. Of several versions the one that was
// listed last is taken, which is the newest (the index is sorted).
func (x *Index) Lookup(name string) (Package, bool) {
	if all := x.packages[name]; len(all) > 0 {
		return all[len(all)-1], true
	}
	if other, ok := x.provides[name]; ok && other != name {
		return x.Lookup(other)
	}
	return Package{}, false
}

// Stack is several indexes, of which the first that has a package gives it.
type Stack []*Index

// Lookup finds a package in the first index that has it.
func (s Stack) Lookup(name string) (Package, bool) {
	for _, x := range s {
		if p, ok := x.Lookup(name); ok {
			return p, true
		}
	}
	return Package{}, false
}

// Closure returns the packages with these names and all that they depend on, sorted by name. A
// dependency for which follow returns false is left out, with what only it needs.
func (s Stack) Closure(roots []string, follow func(name string) bool) ([]Package, error) {
	seen := map[string]Package{}
	todo := slices.Clone(roots)
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		p, ok := s.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("the mirror has no package %s", name)
		}
		if _, done := seen[p.Name]; done {
			continue
		}
		seen[p.Name] = p
		for _, d := range p.Depends {
			if follow(d) {
				todo = append(todo, d)
			}
		}
	}
	var all []Package
	for _, p := range seen {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
