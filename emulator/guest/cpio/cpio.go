// Package cpio writes archives in the format that Linux unpacks as its initramfs: "newc",
// Documentation/driver-api/early-userspace/buffer-format.rst.
package cpio

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Writer writes one archive. Folders above a file are made on the way.
type Writer struct {
	w     io.Writer
	n     int64 // bytes written
	inode int
	made  map[string]bool
}

// NewWriter begins an archive.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, made: map[string]bool{"": true, ".": true}} }

// Types of files in a mode, as in stat(2).
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeSymlink = 0o120000
	typeChar    = 0o020000
)

// File adds a file.
func (c *Writer) File(name string, perm fs.FileMode, data []byte) error {
	return c.entry(name, typeRegular|uint32(perm.Perm()), data, 0, 0)
}

// Symlink adds a symbolic link.
func (c *Writer) Symlink(name, target string) error {
	return c.entry(name, typeSymlink|0o777, []byte(target), 0, 0)
}

// Device adds a character device.
func (c *Writer) Device(name string, perm fs.FileMode, major, minor int) error {
	return c.entry(name, typeChar|uint32(perm.Perm()), nil, major, minor)
}

// Dir adds a folder, unless it is there already.
func (c *Writer) Dir(name string) error {
	name = clean(name)
	if c.made[name] {
		return nil
	}
	if err := c.parents(name); err != nil {
		return err
	}
	c.made[name] = true
	return c.header(name, typeDir|0o755, nil, 0, 0)
}

// Close ends the archive; it does not close the writer below.
func (c *Writer) Close() error {
	c.inode = -1
	return c.header("TRAILER!!!", 0, nil, 0, 0)
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (c *Writer) parents(name string) error {
	dir, _ := path.Split(name)
	return c.Dir(strings.TrimSuffix(dir, "/"))
}

func (c *Writer) entry(name string, mode uint32, data []byte, major, minor int) error {
	name = clean(name)
	if err := c.parents(name); err != nil {
		return err
	}
	return c.header(name, mode, data, major, minor)
}

func (c *Writer) header(name string, mode uint32, data []byte, major, minor int) error {
	if int64(len(data)) > 0xffffffff {
		return fmt.Errorf("%s: too large for an initramfs", name)
	}
	c.inode++
	// ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	head := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	for _, part := range [][]byte{[]byte(head), data} {
		if err := c.write(part); err != nil {
			return err
		}
		if err := c.write(make([]byte, (4-c.n%4)%4)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Writer) write(p []byte) error {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return err
}
