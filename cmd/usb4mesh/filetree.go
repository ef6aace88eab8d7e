package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/usb4mesh/usb4mesh/internal/render"
)

// fileTree is a directory that rendered files are written below.
type fileTree struct{ root string }

func (t fileTree) path(f render.File) string {
	return filepath.Join(t.root, filepath.FromSlash(f.Path))
}

// write puts a file in place in one step: a reader sees the old or the new
// contents, never half of them, also after a crash.
func (t fileTree) write(f render.File) error {
	name := t.path(f)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".usb4mesh-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(f.Data)
	err = errors.Join(err, tmp.Chmod(fs.FileMode(f.Mode)), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// diff returns a unified diff from what is there to f, "" if they are equal.
func (t fileTree) diff(f render.File) (string, error) {
	name := t.path(f)
	old, err := os.ReadFile(name)
	oldName := name
	if errors.Is(err, fs.ErrNotExist) {
		oldName, err = "/dev/null", nil
	}
	if err != nil || bytes.Equal(old, f.Data) {
		return "", err
	}
	return string(diff.Diff(oldName, old, name, f.Data)), nil
}

// stale returns the files that usb4mesh wrote into the folders of files and that
// are not among them. What does not carry our header is somebody else's.
func (t fileTree) stale(files []render.File) ([]string, error) {
	wanted, folders := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		wanted[t.path(f)] = true
		folders[filepath.Dir(t.path(f))] = true
	}
	var stale []string
	for dir := range folders {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			if wanted[name] || !e.Type().IsRegular() {
				continue
			}
			ours, err := carriesHeader(name)
			if err != nil {
				return nil, err
			}
			if ours {
				stale = append(stale, name)
			}
		}
	}
	slices.Sort(stale)
	return stale, nil
}

func (t fileTree) remove(name string) error {
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("stale file stays: %w", err)
	}
	return nil
}

// carriesHeader reports whether a file starts with the header that render writes.
func carriesHeader(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	start := make([]byte, len(render.HeaderStart))
	n, _ := f.Read(start)
	return string(start[:n]) == render.HeaderStart, nil
}
