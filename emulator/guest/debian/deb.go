package debian

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"
)

// Unpack downloads p and writes those of its files below dir for which want returns true. want gets
// the path without a leading slash. Owners are not kept, device nodes and set-id bits neither.
func (p Package) Unpack(ctx context.Context, dir string, want func(path string) bool) error {
	err := fetch(ctx, p.mirror+"/"+p.Filename, p.Size, p.SHA256, func(f *os.File) error {
		data, err := dataOf(bufio.NewReaderSize(f, 1<<20))
		if err != nil {
			return err
		}
		return untar(ctx, data, dir, want)
	})
	if err != nil {
		return fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
	}
	return nil
}

// dataOf returns the data member of a .deb (deb(5)), unpacked: a tar stream.
func dataOf(r io.Reader) (io.Reader, error) {
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "!<arch>\n" {
		return nil, errors.New("not a Debian package")
	}
	for {
		// ar(5): name 16, date 12, owner 6, group 6, mode 8, size 10, two magic bytes.
		header := make([]byte, 60)
		if _, err := io.ReadFull(r, header); err != nil {
			return nil, fmt.Errorf("the package has no data: %w", err)
		}
		name := strings.TrimRight(string(header[:16]), " /")
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("the package's member %q has no size", name)
		}
		switch {
		case name == "data.tar.xz":
			return xz.NewReader(io.LimitReader(r, size))
		case name == "data.tar":
			return io.LimitReader(r, size), nil
		case strings.HasPrefix(name, "data."):
			return nil, fmt.Errorf("the package's data is %s, which is not understood", name)
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return nil, err
		}
	}
}

// untar writes the wanted files of a tar stream below dir. Nothing is ever written outside: an
// os.Root guards that, links included.
func untar(ctx context.Context, r io.Reader, dir string, want func(string) bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name := merged(strings.TrimPrefix(path.Clean("/"+h.Name), "/"))
		if name == "" || !want(name) {
			continue
		}
		if err := put(root, name, h, in); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// merged gives a file of / its place below /usr, where Debian's own installations have it. Older
// packages still say lib/x and rely on the link lib -> usr/lib.
func merged(name string) string {
	top, _, below := strings.Cut(name, "/")
	if !below {
		return name // the link itself
	}
	switch top {
	case "bin", "sbin", "lib", "lib64":
		return "usr/" + name
	}
	return name
}

func put(root *os.Root, name string, h *tar.Header, in io.Reader) error {
	if h.Typeflag != tar.TypeDir {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(merged(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, h.FileInfo().Mode().Perm()|0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, in)
		return errors.Join(err, f.Close())
	}
	return nil
}
