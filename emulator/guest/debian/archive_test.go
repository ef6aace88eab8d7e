package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"
)

// file is a member of a package to be made.
type file struct {
	name, link, text string
	kind             byte
	mode             int64
}

// deb makes a package of files.
func deb(t testing.TB, files ...file) []byte {
	t.Helper()
	var data bytes.Buffer
	z, err := xz.NewWriter(&data)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Linkname: f.link, Typeflag: f.kind, Mode: f.mode, Size: int64(len(f.text))}
		if f.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.xz", []byte("odd")}, {"data.tar.xz", data.Bytes()}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		out.Write(m.data)
		if len(m.data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// mirrorWith serves files and signs nothing.
func mirrorWith(t *testing.T, files map[string][]byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if _, err := w.Write(data); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// archiveWith makes a suite "test" of one package.
func archiveWith(t *testing.T, pkg []byte) map[string][]byte {
	t.Helper()
	index := fmt.Sprintf("Package: tool\nVersion: 1\nFilename: pool/tool.deb\nSize: %d\nSHA256: %s\n", len(pkg), sum(pkg))
	var packed bytes.Buffer
	z, err := xz.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(index)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	release := fmt.Sprintf("MD5Sum:\n 0 1 main/binary-amd64/Packages.xz\nSHA256:\n %s %d main/binary-amd64/Packages.xz\n", sum(packed.Bytes()), packed.Len())
	return map[string][]byte{
		"/dists/test/InRelease": []byte(release),
		"/dists/test/main/binary-amd64/by-hash/SHA256/" + sum(packed.Bytes()): packed.Bytes(),
		"/pool/tool.deb": pkg,
	}
}

func trusting(_ context.Context, text []byte) ([]byte, string, error) { return text, "not at all", nil }

func TestFetchAndUnpack(t *testing.T) {
	files := archiveWith(t, deb(t, file{name: "./lib/libx.so.1", text: "code"}, file{name: "./usr/share/doc/x", text: "words"}))
	x, err := fetchIndex(t.Context(), mirrorWith(t, files), "test", trusting)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := x.Lookup("tool")
	if !ok {
		t.Fatal("the index has no package tool")
	}
	dir := t.TempDir()
	err = p.Unpack(t.Context(), dir, func(path string) bool { return !strings.HasPrefix(path, "usr/share/doc") })
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "usr/lib/libx.so.1"))
	if err != nil || string(got) != "code" {
		t.Errorf("usr/lib/libx.so.1: %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "usr/share")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was not wanted is there: %v", err)
	}
}

// TestTampered changes each file on the way in turn; each time the download must fail.
func TestTampered(t *testing.T) {
	files := archiveWith(t, deb(t, file{name: "./x", text: "code"}))
	for name, data := range files {
		if strings.HasSuffix(name, "InRelease") {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			bad := map[string][]byte{}
			for n, d := range files {
				bad[n] = d
			}
			bad[name] = append([]byte("x"), data[1:]...)
			x, err := fetchIndex(t.Context(), mirrorWith(t, bad), "test", trusting)
			if err == nil {
				p, _ := x.Lookup("tool")
				err = p.Unpack(t.Context(), t.TempDir(), func(string) bool { return true })
			}
			if err == nil || !strings.Contains(err.Error(), "SHA256") {
				t.Errorf("got error %v, want one about the SHA256", err)
			}
		})
	}
}

func TestForeignSignature(t *testing.T) {
	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Skip("there is no gpgv")
	}
	_, how, err := verify(t.Context(), []byte("SHA256:\n"))
	if strings.HasPrefix(how, "not checked") {
		t.Skip(how)
	}
	if err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("an unsigned InRelease was accepted: %q, %v", how, err)
	}
}

func TestUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := Fetch(t.Context(), s.URL, "test")
	if !errors.Is(err, ErrOffline) {
		t.Errorf("got %v, want ErrOffline", err)
	}
	_, err = Fetch(t.Context(), mirrorWith(t, nil), "test")
	if err == nil || errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want an error that says 404", err)
	}
}

// TestHostilePackage tries to write outside the folder.
func TestHostilePackage(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []file
	}{
		{"dots", []file{{name: "../../escaped", text: "x"}}},
		{"absolute link", []file{{name: "a", kind: tar.TypeSymlink, link: "OUTSIDE"}, {name: "a/escaped", text: "x"}}},
		{"relative link", []file{{name: "a", kind: tar.TypeSymlink, link: ".."}, {name: "a/escaped", text: "x"}}},
		{"hard link", []file{{name: "a", kind: tar.TypeLink, link: "../secret"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			outside := t.TempDir()
			dir := filepath.Join(outside, "root", "in")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range c.files {
				c.files[i].link = strings.Replace(c.files[i].link, "OUTSIDE", outside, 1)
			}
			data, err := dataOf(bytes.NewReader(deb(t, c.files...)))
			if err != nil {
				t.Fatal(err)
			}
			err = untar(t.Context(), data, dir, func(string) bool { return true })
			var found []string
			walkErr := filepath.WalkDir(outside, func(path string, d os.DirEntry, err error) error {
				if d != nil && d.Name() == "escaped" && !strings.HasPrefix(path, dir) {
					found = append(found, path)
				}
				return err
			})
			if walkErr != nil || len(found) > 0 {
				t.Errorf("written outside: %v (%v, %v)", found, err, walkErr)
			}
		})
	}
}

func TestModes(t *testing.T) {
	data, err := dataOf(bytes.NewReader(deb(t, file{name: "su", mode: 0o4755, text: "x"}, file{name: "null", kind: tar.TypeChar})))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := untar(t.Context(), data, dir, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "su"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("mode %v, %v; want 0755 without the set-id bit", info.Mode(), err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "null")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a device node was made: %v", err)
	}
}

func TestClosure(t *testing.T) {
	index := func(list ...Package) *Index {
		x := &Index{packages: map[string][]Package{}, provides: map[string]string{}}
		for _, p := range list {
			x.packages[p.Name] = append(x.packages[p.Name], p)
			for _, v := range p.Provides {
				x.provides[v] = p.Name
			}
		}
		return x
	}
	s := Stack{
		index(Package{Name: "tool", Version: "2", Depends: []string{"libvirtual", "docs"}}),
		index(Package{Name: "tool", Version: "1"}, Package{Name: "lib", Provides: []string{"libvirtual"}, Depends: []string{"libc", "tool"}},
			Package{Name: "libc", Version: "1"}, Package{Name: "libc", Version: "2"}),
	}
	all, err := s.Closure([]string{"tool"}, func(name string) bool { return name != "docs" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, p.Name+" "+p.Version)
	}
	if d := cmp.Diff([]string{"lib ", "libc 2", "tool 2"}, got); d != "" {
		t.Error(d)
	}
	if _, err := s.Closure([]string{"tool"}, func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "docs") {
		t.Errorf("got %v, want an error that names docs", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(deb(f, file{name: "./lib/x", text: "code"}, file{name: "l", kind: tar.TypeSymlink, link: "/"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r, err := dataOf(bytes.NewReader(data))
		if err != nil {
			return
		}
		_ = untar(t.Context(), r, dir, func(string) bool { return true })
		if all, err := os.ReadDir(outside); err != nil || len(all) != 1 {
			t.Errorf("written outside: %v, %v", all, err)
		}
	})
}
