package hw

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// File is one entry of a bundle for a bug report.
type File struct {
	Name string // sys/..., proc/..., usb4mesh/...
	Data []byte
	Link string // target of a symbolic link; Data is empty then
	Note string // what was taken out, "" if nothing
}

// Collect scans like Scan and returns every file that the scan read, so that a scan
// of the copy sees the same, without what is nobody's business: see redact. live adds
// what AddLive asks the kernel.
func Collect(fsys fs.FS, live bool) ([]File, mesh.Hardware, []finding.Finding) {
	r := &recorder{fsys: fsys, files: map[string]*File{}}
	h, findings := Scan(r)
	if live {
		AddLive(&h)
		if h.Host.Log != nil { // else it was not readable
			r.put("usb4mesh/log", strings.Join(h.Host.Log, "\n")+"\n")
		}
		for _, l := range h.Links {
			if l.Interface != "" && l.Offloads != nil {
				r.put("usb4mesh/offloads/"+l.Interface, formatOffloads(l.Offloads))
			}
		}
	}
	self := r.files["proc/self"]
	var out []File
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		f := *r.files[name]
		if self != nil {
			// /proc/net leads through the number of this process: put it straight.
			if rest, ok := strings.CutPrefix(f.Name, "proc/"+self.Link+"/net/"); ok {
				f.Name = "proc/net/" + rest
			}
		}
		if redact(&f, &h) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out, h, findings
}

// formatOffloads writes what parseOffloads reads.
func formatOffloads(offloads map[string]bool) string {
	var lines []string
	for long, short := range offloadNames {
		state := "off"
		if offloads[short] {
			state = "on"
		}
		lines = append(lines, long+": "+state+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// recorder is a file system that remembers what was read through it.
type recorder struct {
	fsys  fs.FS
	files map[string]*File
}

func (r *recorder) put(name, data string) {
	r.files[name] = &File{Name: name, Data: []byte(data)}
}

// Open opens a file; what is read of it is remembered.
func (r *recorder) Open(name string) (fs.File, error) {
	f, err := r.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	if folder, ok := f.(fs.ReadDirFile); ok {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return folder, nil
		}
	}
	r.files[name] = &File{Name: name}
	return &recorded{f, r.files[name]}, nil
}

// Lstat describes a file without following a link.
func (r *recorder) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.fsys, name) }

// ReadLink returns the target of a link, which is remembered.
func (r *recorder) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(r.fsys, name)
	if err == nil {
		r.files[name] = &File{Name: name, Link: target}
	}
	return target, err
}

type recorded struct {
	fs.File
	to *File
}

func (f *recorded) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	f.to.Data = append(f.to.Data, b[:n]...) // the reader of the tree has the bound
	return n, err
}

// Fixture writes a bundle as a txtar archive, which tests load as a tree: links are
// entries whose name ends with @. What is not text is left out, and said so.
func Fixture(files []File, comment string) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(comment) {
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	for _, f := range files {
		name, data := f.Name, f.Data
		if strings.ContainsAny(name, "\n\r") {
			continue
		}
		if f.Link != "" {
			name, data = name+"@", []byte(f.Link)
		}
		text := string(data)
		if text != strings.ToValidUTF8(text, "") || strings.Contains(text, "\x00") || strings.HasPrefix(text, "-- ") || strings.Contains(text, "\n-- ") {
			text = fmt.Sprintf("(%d bytes that are no text)\n", len(data))
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		fmt.Fprintf(&b, "-- %s --\n%s", path.Clean(name), text)
	}
	return b.Bytes()
}
