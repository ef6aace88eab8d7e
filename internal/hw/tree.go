package hw

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

// Bounds on what is read. A tree may be a copy from somebody else's machine.
const (
	attributeLimit = 4096    // an attribute of sysfs is at most a page
	procLimit      = 1 << 20 // /proc/interrupts of a large server
	entryLimit     = 8192    // entries of a folder
	linkLimit      = 40      // symbolic links on the way to a file, as in the kernel (MAXSYMLINKS)
	findingLimit   = 64
)

var errLoop = errors.New("too many levels of symbolic links")

// tree reads a file system that holds sys and proc. It follows symbolic links
// itself, within the tree and with a bound, and opens only regular files and folders.
type tree struct {
	fsys     fs.FS
	real     map[string]string // folder -> its name without links
	findings []finding.Finding
}

func newTree(fsys fs.FS) *tree { return &tree{fsys: fsys, real: map[string]string{".": "."}} }

// report notes a finding, until there are too many to be of use.
func (t *tree) report(f finding.Finding) {
	if len(t.findings) < findingLimit {
		t.findings = append(t.findings, f)
	}
}

// resolve returns the name of a file without symbolic links, and what it is.
func (t *tree) resolve(name string) (string, fs.FileMode, error) {
	links := 0
	return t.walk(path.Clean(name), &links)
}

func (t *tree) walk(name string, links *int) (string, fs.FileMode, error) {
	if real, ok := t.real[name]; ok {
		return real, fs.ModeDir, nil
	}
	if !fs.ValidPath(name) || *links > linkLimit || strings.Count(name, "/") > linkLimit {
		return "", 0, errLoop
	}
	dir, _, err := t.walk(path.Dir(name), links)
	if err != nil {
		return "", 0, err
	}
	full := path.Join(dir, path.Base(name))
	info, err := fs.Lstat(t.fsys, full)
	if err != nil {
		return "", 0, err
	}
	mode := info.Mode().Type()
	if mode == fs.ModeSymlink {
		*links++
		target, err := fs.ReadLink(t.fsys, full)
		if err != nil {
			return "", 0, err
		}
		if path.IsAbs(target) {
			return "", 0, fmt.Errorf("%s leads out of the tree, to %q", full, target)
		}
		if full, mode, err = t.walk(path.Join(dir, target), links); err != nil {
			return "", 0, err
		}
	}
	if mode == fs.ModeDir {
		t.real[name] = full
	}
	return full, mode, nil
}

// read returns a file of at most limit bytes. A longer one is an error.
func (t *tree) read(name string, limit int) ([]byte, error) {
	real, mode, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	return t.readRegular(real, mode, limit)
}

func (t *tree) readRegular(name string, mode fs.FileMode, limit int) ([]byte, error) {
	if mode != 0 {
		return nil, fmt.Errorf("%s is no regular file", name) // a pipe would block for ever
	}
	f, err := t.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return b, nil
}

// text returns a file of /proc that need not be there, "" otherwise.
func (t *tree) text(name string) string {
	b, err := t.read(name, procLimit)
	if err != nil {
		closed := errors.Is(err, fs.ErrPermission) && strings.HasSuffix(name, "_tables_names") // to all but root, always
		if !errors.Is(err, fs.ErrNotExist) && !closed {
			t.report(finding.New(unreadable, "%s", readError(name, err)))
		}
		return ""
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// line is text of one line.
func (t *tree) line(name string) string { return Clean(t.text(name)) }

// Clean makes printable text of one line out of what a file holds.
func Clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

func readError(name string, err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Sprintf("%s can't be read: %v", name, err)
}

// dir is a folder of the tree: a device with its attributes.
type dir struct {
	t       *tree
	name    string // without symbolic links
	entries []fs.DirEntry
	types   map[string]fs.FileMode
}

// dir lists a folder. One that is not there has no entries.
func (t *tree) dir(name string) dir {
	d := dir{t: t, name: name, types: map[string]fs.FileMode{}}
	real, mode, err := t.resolve(name)
	if err == nil && mode != fs.ModeDir {
		err = errors.New("it is no folder")
	}
	if err == nil {
		d.name = real
		d.entries, err = t.list(real)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.report(finding.New(unreadable, "%s", readError(name, err)))
	}
	for _, e := range d.entries {
		d.types[e.Name()] = e.Type()
	}
	return d
}

func (t *tree) list(name string) ([]fs.DirEntry, error) {
	f, err := t.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	folder, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, errors.New("it is no folder")
	}
	entries, err := folder.ReadDir(entryLimit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(entries) == entryLimit {
		t.report(finding.New(unreadable, "%s has more than %d entries; the rest is left out", name, entryLimit-1))
	}
	return entries, err
}

func (d dir) has(name string) bool { _, ok := d.types[name]; return ok }

func (d dir) sub(name string) dir { return d.t.dir(path.Join(d.name, name)) }

// quiet lists attributes that refuse to be read on healthy machines: speed and duplex
// before kernel 7.0 or while the interface is down, nvm_version on routers whose
// vendor the driver does not know.
var quiet = map[string]bool{"speed": true, "duplex": true, "nvm_version": true, "carrier": true}

// text returns an attribute, "" where it is not there or can't be read.
func (d dir) text(name string) string {
	mode, ok := d.types[name]
	if !ok {
		return ""
	}
	full := path.Join(d.name, name)
	b, err := d.t.readRegular(full, mode, attributeLimit)
	if err != nil {
		if !quiet[name] {
			d.t.report(finding.New(unreadable, "%s", readError(full, err)))
		}
		return ""
	}
	s := strings.TrimRight(string(b), "\n")
	if s != Clean(s) && strings.TrimSpace(s) != Clean(s) {
		d.odd(name, s, "one line of text")
		return ""
	}
	return strings.TrimSpace(s)
}

// number returns an attribute that is a number, decimal or with 0x; 0 where it is
// not there. Anything else is a finding.
func (d dir) number(name string) int {
	s := d.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < -1<<31 || n > 1<<32 {
		d.odd(name, s, "a number")
		return 0
	}
	return int(n)
}

// counter returns an attribute that counts from 0.
func (d dir) counter(name string) uint64 {
	s := d.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		d.odd(name, s, "a number")
	}
	return n
}

// target returns the last element of a symbolic link: the name of a driver.
func (d dir) target(name string) string {
	if d.types[name] != fs.ModeSymlink {
		return ""
	}
	s, err := fs.ReadLink(d.t.fsys, path.Join(d.name, name))
	if err != nil {
		d.t.report(finding.New(unreadable, "%s", readError(path.Join(d.name, name), err)))
		return ""
	}
	return Clean(path.Base(s))
}

func (d dir) odd(name, got, want string) {
	if len(got) > 60 {
		got = got[:60]
	}
	d.t.report(finding.New(oddAttribute, "%s holds %q instead of %s", path.Join(d.name, name), got, want))
}
