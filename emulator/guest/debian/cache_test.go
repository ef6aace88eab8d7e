package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func makeImage(text string) func(context.Context, string) (Image, error) {
	return func(_ context.Context, dir string) (Image, error) {
		return Image{Signed: text}, os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644)
	}
}

func TestCacheKeeps(t *testing.T) {
	c := Cache{Dir: t.TempDir(), MaxAge: time.Hour}
	first, err := c.Image(t.Context(), "x", makeImage("one"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Image(t.Context(), "x", makeImage("two"))
	if err != nil || second.Dir != first.Dir || second.Signed != "one" {
		t.Errorf("made again: %+v, %v", second, err)
	}
}

func TestCacheLayout(t *testing.T) {
	c := Cache{Dir: t.TempDir(), MaxAge: time.Hour, Layout: 1}
	if _, err := c.Image(t.Context(), "x", makeImage("one")); err != nil {
		t.Fatal(err)
	}
	c.Layout = 2
	im, err := c.Image(t.Context(), "x", makeImage("two"))
	if err != nil || im.Signed != "two" {
		t.Errorf("got %+v, %v; want one of the new layout", im, err)
	}
}

func TestCacheTogether(t *testing.T) {
	c := Cache{Dir: t.TempDir(), MaxAge: time.Hour}
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			im, err := c.Image(t.Context(), "x", func(ctx context.Context, dir string) (Image, error) {
				made.Add(1)
				time.Sleep(50 * time.Millisecond)
				return makeImage("one")(ctx, dir)
			})
			if err != nil || im.Signed != "one" {
				t.Errorf("got %+v, %v", im, err)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("the image was made %d times", n)
	}
}

func TestCacheRenews(t *testing.T) {
	c := Cache{Dir: t.TempDir(), MaxAge: time.Nanosecond}
	var dirs []string
	for n := range 3 {
		im, err := c.Image(t.Context(), "x", makeImage(fmt.Sprint(n)))
		if err != nil || im.Signed != fmt.Sprint(n) {
			t.Fatalf("got %+v, %v", im, err)
		}
		dirs = append(dirs, im.Dir)
	}
	// Somebody may still use the one before; the one before that is gone.
	for i, want := range []bool{false, true, true} {
		if _, err := os.Stat(filepath.Join(dirs[i], "file")); (err == nil) != want {
			t.Errorf("image %d: %v, expected there: %v", i, err, want)
		}
	}
}

func TestCacheOffline(t *testing.T) {
	c := Cache{Dir: t.TempDir(), MaxAge: time.Nanosecond}
	offline := func(context.Context, string) (Image, error) { return Image{}, fmt.Errorf("x: %w", ErrOffline) }
	if _, err := c.Image(t.Context(), "x", offline); !errors.Is(err, ErrOffline) {
		t.Errorf("got %v, want ErrOffline", err)
	}
	if _, err := c.Image(t.Context(), "x", makeImage("one")); err != nil {
		t.Fatal(err)
	}
	im, err := c.Image(t.Context(), "x", offline)
	if err != nil || im.Signed != "one" || im.Stale == "" {
		t.Errorf("got %+v, %v; want the old image, and why", im, err)
	}
	broken := func(context.Context, string) (Image, error) { return Image{}, errors.New("disk full") }
	if _, err := c.Image(t.Context(), "x", broken); err == nil {
		t.Error("an error of another kind went unnoticed")
	}
}

// TestCacheAfterKill looks at what a killed process leaves: a folder without the last file.
func TestCacheAfterKill(t *testing.T) {
	c := Cache{Dir: t.TempDir(), MaxAge: time.Hour}
	half := filepath.Join(c.Dir, "x@123")
	if err := os.MkdirAll(filepath.Join(half, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("x@123", filepath.Join(c.Dir, "x")); err != nil {
		t.Fatal(err)
	}
	im, err := c.Image(t.Context(), "x", makeImage("one"))
	if err != nil || im.Signed != "one" {
		t.Fatalf("got %+v, %v", im, err)
	}
	all, err := filepath.Glob(filepath.Join(c.Dir, "*"))
	if err != nil || strings.Contains(strings.Join(all, " "), ".link") {
		t.Errorf("%v, %v", all, err)
	}
}
