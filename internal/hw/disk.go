package hw

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Root is a folder that holds sys and proc, as a file system. It opens regular files
// and folders only, below itself only, and follows no symbolic link: whoever reads
// through it resolves links step by step. So neither a hostile tree nor one that
// changes meanwhile leads out of it, and a pipe does not block.
type Root struct {
	fd   int
	name string
}

// Open opens a folder that holds sys and proc; "/" is the machine itself.
func Open(folder string) (*Root, error) {
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: folder, Err: err}
	}
	r := &Root{fd, folder}
	for _, name := range []string{"sys", "proc"} {
		if info, err := r.Lstat(name); err != nil || !info.IsDir() {
			err = errors.Join(err, r.Close())
			return nil, fmt.Errorf("%s holds no folder %s; name a folder that holds sys and proc, such as / or what `usb4mesh collect` packed: %w", folder, name, errors.Join(err, fs.ErrNotExist))
		}
	}
	return r, nil
}

// Close closes the folder.
func (r *Root) Close() error { return unix.Close(r.fd) }

// at opens a file below the root. openat2 is there since Linux 5.6, before any kernel
// that can do USB4 links with two lanes.
func (r *Root) at(op, name string, flags uint64) (int, error) {
	if !fs.ValidPath(name) {
		return -1, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	var err error
	for range 8 {
		var fd int
		if fd, err = unix.Openat2(r.fd, name, &how); err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) { // EAGAIN: a folder was renamed meanwhile
			break
		}
	}
	return -1, &fs.PathError{Op: op, Path: name, Err: err}
}

// Open opens a regular file or a folder.
func (r *Root) Open(name string) (fs.File, error) {
	fd, err := r.at("open", name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "stat", Path: name, Err: err}, unix.Close(fd))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return os.NewFile(uintptr(fd), name), nil
	case unix.S_IFREG:
		return &file{fd, name}, nil
	}
	return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: errors.New("no regular file")}, unix.Close(fd))
}

// Lstat describes a file, a link as such.
func (r *Root) Lstat(name string) (fs.FileInfo, error) {
	fd, err := r.at("lstat", name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path.Base(name))
	defer f.Close()
	return f.Stat()
}

// ReadLink returns the target of a symbolic link.
func (r *Root) ReadLink(name string) (string, error) {
	fd, err := r.at("readlink", name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target[:n]), nil
}

// file is a regular file. It is no os.File: that would ask the kernel to poll every
// attribute.
type file struct {
	fd   int
	name string
}

// Read reads from the file.
func (f *file) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(f.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, &fs.PathError{Op: "read", Path: f.name, Err: err}
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Stat is not needed of an open file.
func (f *file) Stat() (fs.FileInfo, error) {
	return nil, &fs.PathError{Op: "stat", Path: f.name, Err: errors.ErrUnsupported}
}

// Close closes the file.
func (f *file) Close() error { return unix.Close(f.fd) }
