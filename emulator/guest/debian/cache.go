package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Image is a folder of unpacked files, ready for use.
type Image struct {
	Dir      string            // absolute
	Versions map[string]string // package to version
	Signed   string            // how the signatures were checked
	Made     time.Time
	Layout   int           // of the cache that made it
	Bytes    int64         // downloaded
	Took     time.Duration // to download and unpack
	// Stale says why an image is used that is older than wished; empty if it is not.
	Stale string `json:"-"`
}

// Cache is where images are kept: outside the checkout, shared by all runs of a user.
type Cache struct {
	Dir    string        // absolute
	MaxAge time.Duration // after which an image is made anew, if the mirror can be reached
	Layout int           // images of another layout are made anew
}

// DefaultCache is $XDG_CACHE_HOME/usb4mesh/guests. Images live for three weeks, so that security
// updates of the kernels arrive and CI with a warm cache downloads nothing. layout changes with what
// images hold.
func DefaultCache(layout int) (Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Cache{}, fmt.Errorf("no place for the guests' files: %w", err)
	}
	return Cache{Dir: filepath.Join(dir, "usb4mesh", "guests"), MaxAge: 21 * 24 * time.Hour, Layout: layout}, nil
}

// Image returns the image of that name, and makes it if it is not there or too old. Any number of
// processes may ask at once: one makes it, the others wait. A process that is killed leaves
// nothing that another would take for an image.
func (c Cache) Image(ctx context.Context, name string, make func(ctx context.Context, dir string) (Image, error)) (Image, error) {
	if im, err := c.have(name); err == nil && time.Since(im.Made) < c.MaxAge {
		return im, nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lock(ctx, filepath.Join(c.Dir, name+".lock"))
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", name, err)
	}
	defer unlock()
	old, haveErr := c.have(name) // perhaps another process has made it meanwhile
	if haveErr == nil && time.Since(old.Made) < c.MaxAge {
		return old, nil
	}
	im, err := c.fill(ctx, name, make)
	if err == nil {
		return im, nil
	}
	if haveErr == nil && errors.Is(err, ErrOffline) {
		old.Stale = fmt.Sprintf("made on %s, and now %v", old.Made.Format(time.DateOnly), err)
		return old, nil
	}
	return Image{}, fmt.Errorf("image %s: %w", name, err)
}

// stamp is the last file that an image gets.
const stamp = ".usb4emu-image.json"

func (c Cache) have(name string) (Image, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(c.Dir, name))
	if err != nil {
		return Image{}, err
	}
	text, err := os.ReadFile(filepath.Join(dir, stamp))
	if err != nil {
		return Image{}, err
	}
	var im Image
	if err := json.Unmarshal(text, &im); err != nil {
		return Image{}, err
	}
	if im.Layout != c.Layout {
		return Image{}, fmt.Errorf("image %s has layout %d, %d is wanted", name, im.Layout, c.Layout)
	}
	im.Dir = dir
	return im, nil
}

// fill makes the image in a new folder and then lets the name, a symbolic link, point there. Who
// still uses the old folder keeps it until the next but one; so one older folder stays.
func (c Cache) fill(ctx context.Context, name string, make func(context.Context, string) (Image, error)) (Image, error) {
	old, err := filepath.EvalSymlinks(filepath.Join(c.Dir, name))
	if err != nil {
		old = ""
	}
	all, err := filepath.Glob(filepath.Join(c.Dir, name+"@*"))
	if err != nil {
		return Image{}, err
	}
	for _, dir := range all { // left by killed processes, or used no longer
		if dir != old {
			if err := os.RemoveAll(dir); err != nil {
				return Image{}, err
			}
		}
	}
	dir, err := os.MkdirTemp(c.Dir, name+"@")
	if err != nil {
		return Image{}, err
	}
	im, err := c.makeIn(ctx, dir, make)
	if err == nil {
		link := dir + ".link"
		if err = os.Symlink(filepath.Base(dir), link); err == nil {
			err = os.Rename(link, filepath.Join(c.Dir, name))
		}
	}
	if err != nil {
		return Image{}, errors.Join(err, os.RemoveAll(dir))
	}
	return im, nil
}

func (c Cache) makeIn(ctx context.Context, dir string, make func(context.Context, string) (Image, error)) (Image, error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return Image{}, err
	}
	start := time.Now()
	im, err := make(ctx, dir)
	if err != nil {
		return Image{}, err
	}
	im.Made, im.Took, im.Dir, im.Layout = start, time.Since(start), dir, c.Layout
	text, err := json.MarshalIndent(im, "", "\t")
	if err != nil {
		return Image{}, err
	}
	return im, os.WriteFile(filepath.Join(dir, stamp), text, 0o644)
}

// lock takes an exclusive lock that ends with the process at the latest.
func lock(ctx context.Context, file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
