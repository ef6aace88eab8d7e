package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest/debian"
)

// Kernel names one of Debian's kernels.
type Kernel string

// The kernels that guests can boot. Each is the newest of its series that the mirror has.
const (
	Linux61  Kernel = "6.1"    // Debian 12
	Linux612 Kernel = "6.12"   // Debian 13
	Newest   Kernel = "newest" // Debian 13 backports
)

// Kernels are all of them, the oldest first.
func Kernels() []Kernel { return []Kernel{Linux61, Linux612, Newest} }

// suites are where the kernels come from: all from the two stable releases, since the indexes of
// forky and sid are 10 MB each and backports has kernels as new.
var suites = map[Kernel][]string{
	Linux61:  {"bookworm"},
	Linux612: {"trixie"},
	Newest:   {"trixie-backports"},
}

// qemuSuites: QEMU has vfio-user-pci since 10.1, so trixie's own 10.0 will not do.
var qemuSuites = []string{"trixie-backports", "trixie"}

// archive remembers the indexes that this process has fetched: several images need the same.
type archive struct {
	mu      sync.Mutex
	mirror  string
	indexes map[string]*debian.Index
}

func (a *archive) stack(ctx context.Context, suites []string) (debian.Stack, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.indexes == nil {
		a.indexes = map[string]*debian.Index{}
		a.mirror = debian.Mirror()
	}
	var s debian.Stack
	for _, suite := range suites {
		if a.indexes[suite] == nil {
			x, err := debian.Fetch(ctx, a.mirror, suite)
			if err != nil {
				return nil, err
			}
			a.indexes[suite] = x
		}
		s = append(s, a.indexes[suite])
	}
	return s, nil
}

var mirror archive

// Unavailable says why no guest can be started on this machine. It is no error of the emulator:
// tests skip with it.
type Unavailable struct{ Why string }

func (u Unavailable) Error() string { return "no guests on this machine: " + u.Why }

// Available fetches what a guest with this kernel needs, unless it is there, and returns an error of type
// [Unavailable] if no guest can be started on this machine.
func Available(ctx context.Context, k Kernel) error {
	_, err := Fetch(ctx, string(k))
	return err
}

// Fetch gets QEMU and a kernel, or with the name "systemd" the root of guests with systemd, unless they are there. It
// says what there is: versions, size and time of the download, and how signatures were checked.
func Fetch(ctx context.Context, name string) (about string, err error) {
	images := []func(context.Context) (debian.Image, error){
		qemuImage, func(ctx context.Context) (debian.Image, error) { return kernelImage(ctx, Kernel(name)) },
	}
	if name == "systemd" {
		images = images[:1]
		images = append(images, systemdImage)
	}
	for _, get := range images {
		im, err := get(ctx)
		if err != nil {
			return about, err
		}
		about += fmt.Sprintf("%s: %d MB of packages of %s, fetched in %.0f s; signatures: %s\n",
			filepath.Base(im.Dir), im.Bytes/1e6, im.Made.Format(time.DateOnly), im.Took.Seconds(), im.Signed)
		if im.Stale != "" {
			about += "  " + im.Stale + "\n"
		}
	}
	return about, nil
}

// qemuImage returns the folder of QEMU and the libraries that it needs.
func qemuImage(ctx context.Context) (debian.Image, error) {
	return image(ctx, "qemu", func(ctx context.Context, dir string) (debian.Image, error) {
		s, err := mirror.stack(ctx, qemuSuites)
		if err != nil {
			return debian.Image{}, err
		}
		// Only libraries and firmware: no debconf, no passwd, no boot ROMs for network cards.
		packages, err := s.Closure([]string{"qemu-system-x86", "qemu-system-data", "seabios"}, func(name string) bool {
			return strings.HasPrefix(name, "lib") || name == "zlib1g"
		})
		if err != nil {
			return debian.Image{}, err
		}
		return unpack(ctx, s, packages, dir, func(path string) bool {
			switch {
			case path == "usr/bin/qemu-system-x86_64", path == "usr/lib64/ld-linux-x86-64.so.2":
				return true
			case strings.HasPrefix(path, "usr/share/seabios/"), strings.HasPrefix(path, "usr/share/qemu/"):
				return strings.HasSuffix(path, ".bin")
			case filepath.Dir(path) == "usr/lib/x86_64-linux-gnu":
				return strings.Contains(filepath.Base(path), ".so")
			}
			return false
		})
	})
}

// layout changes when the folders of images change, so that older ones are made anew.
const layout = 4

// kernelPackage is the form of names of kernel packages that hold files.
var kernelPackage = regexp.MustCompile(`^linux-(image|base|binary|modules)-[0-9].*-amd64$`)

// kernelImage returns the folder of a kernel: vmlinuz below boot or lib/modules, and modules.
func kernelImage(ctx context.Context, k Kernel) (debian.Image, error) {
	from, ok := suites[k]
	if !ok {
		return debian.Image{}, fmt.Errorf("kernel %q is none of %v", k, Kernels())
	}
	return image(ctx, "linux-"+string(k), func(ctx context.Context, dir string) (debian.Image, error) {
		s, err := mirror.stack(ctx, from)
		if err != nil {
			return debian.Image{}, err
		}
		packages, err := s.Closure([]string{"linux-image-amd64"}, kernelPackage.MatchString)
		if err != nil {
			return debian.Image{}, err
		}
		packages = slices.DeleteFunc(packages, func(p debian.Package) bool { return !kernelPackage.MatchString(p.Name) })
		return unpack(ctx, s, packages, dir, wantedOfKernel)
	})
}

// wantedOfKernel leaves out what no guest here can use: it is nine tenths of a kernel package.
func wantedOfKernel(path string) bool {
	if strings.HasPrefix(path, "boot/vmlinuz-") || strings.HasSuffix(path, "/vmlinuz") {
		return true
	}
	_, module, ok := strings.Cut(path, "/kernel/")
	if !ok {
		return strings.Contains(filepath.Base(path), "modules.builtin") || strings.HasSuffix(path, "/modules.order")
	}
	if filepath.Dir(module) == "drivers/net" {
		return true // dummy, veth, vrf
	}
	for _, folder := range []string{
		"arch/x86/crypto", "crypto", "drivers/char", "drivers/net/thunderbolt", "drivers/thunderbolt",
		"drivers/virtio", "fs/configfs", "lib", "net/core", "net/ipv4", "net/ipv6", "net/netfilter", "net/sched",
	} {
		if strings.HasPrefix(module, folder+"/") {
			return true
		}
	}
	return false
}

func image(ctx context.Context, name string, fill func(context.Context, string) (debian.Image, error)) (debian.Image, error) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return debian.Image{}, Unavailable{"QEMU and the kernels are fetched for Linux on amd64, this is " + runtime.GOOS + " on " + runtime.GOARCH}
	}
	cache, err := debian.DefaultCache(layout)
	if err != nil {
		return debian.Image{}, err
	}
	im, err := cache.Image(ctx, name, fill)
	if errors.Is(err, debian.ErrOffline) {
		return im, Unavailable{err.Error()}
	}
	return im, err
}

// unpack fetches packages, a few at a time.
func unpack(ctx context.Context, s debian.Stack, packages []debian.Package, dir string, want func(string) bool) (debian.Image, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	im := debian.Image{Versions: map[string]string{}}
	var (
		mu   sync.Mutex
		errs []error
		wg   sync.WaitGroup
		turn = make(chan struct{}, 4)
	)
	for _, p := range packages {
		im.Versions[p.Name] = p.Version
		im.Bytes += p.Size
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			if err := p.Unpack(ctx, dir, want); err != nil {
				cancel()
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	for _, x := range s {
		im.Signed += x.Suite + ": " + x.Signed + "; "
	}
	im.Signed = strings.TrimSuffix(im.Signed, "; ")
	return im, errors.Join(errs...)
}

// vmlinuz finds the kernel in its folder, and its release such as "6.12.107+deb13-amd64".
func vmlinuz(dir string) (file, release string, err error) {
	folders, err := filepath.Glob(filepath.Join(dir, "usr/lib/modules/*"))
	if err != nil {
		return "", "", err
	}
	for _, folder := range folders {
		release := filepath.Base(folder)
		for _, file := range []string{filepath.Join(dir, "boot/vmlinuz-"+release), filepath.Join(folder, "vmlinuz")} {
			if _, err := os.Stat(file); err == nil {
				return file, release, nil
			}
		}
	}
	return "", "", fmt.Errorf("%s: no kernel in it; remove the folder to have it fetched again", dir)
}
