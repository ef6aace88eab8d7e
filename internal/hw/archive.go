package hw

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// bundleLimit bounds an archive; what is behind it is left out and said so.
const bundleLimit = 16 << 20

// Contents lists what a bundle holds, a line for each file.
func Contents(files []File) string {
	var b strings.Builder
	for _, f := range files {
		switch {
		case f.Link != "":
			fmt.Fprintf(&b, "%s -> %s\n", f.Name, f.Link)
		case f.Note != "":
			fmt.Fprintf(&b, "%s  %d bytes (%s)\n", f.Name, len(f.Data), f.Note)
		default:
			fmt.Fprintf(&b, "%s  %d bytes\n", f.Name, len(f.Data))
		}
	}
	return b.String()
}

// WriteTar writes a bundle as tar.gz below a folder, with CONTENTS.txt first. Equal
// files give equal bytes: entries are sorted and bear no time and no owner.
func WriteTar(w io.Writer, folder string, files []File) error {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	total := 0
	for i, f := range files {
		if total += len(f.Data); total > bundleLimit {
			files[i].Data, files[i].Note = nil, "left out, the bundle is too large"
			total -= len(f.Data)
		}
	}
	files = append([]File{{Name: "CONTENTS.txt", Data: []byte(Contents(files))}}, files...)
	zip := gzip.NewWriter(w)
	t := tar.NewWriter(zip)
	for _, f := range files {
		head := &tar.Header{Name: folder + "/" + f.Name, Mode: 0o644, Size: int64(len(f.Data)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		if f.Link != "" {
			head.Typeflag, head.Linkname, head.Size = tar.TypeSymlink, f.Link, 0
		}
		if err := t.WriteHeader(head); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if f.Link == "" {
			if _, err := t.Write(f.Data); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return errors.Join(t.Close(), zip.Close())
}
