package debian

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMirrorOf(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"deb822", "sources.list.d/debian.sources", "Types: deb\n# old\nURIs: http://mirror.example/debian/\nSuites: bookworm\n", "http://mirror.example/debian"},
		{"one line", "sources.list", "deb [signed-by=/x] https://mirror.example/debian trixie main\n", "https://mirror.example/debian"},
		{"in parts", "sources.list.d/a.list", "deb http://mirror.example/debian trixie main\n", "http://mirror.example/debian"},
		{"switched off", "sources.list", "# deb http://mirror.example/debian trixie main\n", Default},
		{"security only", "sources.list", "deb http://mirror.example/debian-security trixie-security main\n", Default},
		{"a vendor", "sources.list", "deb http://mirror.example/apt stable main\n", Default},
		{"no network", "sources.list", "deb cdrom:[Debian]/debian trixie main\n", Default},
		{"nothing", "other", "", Default},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, c.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := mirrorOf(dir); got != c.want {
				t.Errorf("mirrorOf = %q, want %q", got, c.want)
			}
		})
	}
}

func TestParagraphs(t *testing.T) {
	const text = "Package: a\nDepends: b,\n c\n\n\nPackage: d\nbroken\n continued\nSize: 1"
	var got []map[string]string
	err := paragraphs(strings.NewReader(text), func(block map[string]string) bool {
		copied := map[string]string{}
		for k, v := range block {
			copied[k] = v
		}
		got = append(got, copied)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{{"Package": "a", "Depends": "b,\n c"}, {"Package": "d", "Size": "1"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNames(t *testing.T) {
	got := names("libc6 (>= 2.38), perl:any, dracut | initramfs-tools (>= 0.1),libx")
	if d := cmp.Diff([]string{"libc6", "perl", "dracut", "libx"}, got); d != "" {
		t.Error(d)
	}
}

func FuzzParagraphs(f *testing.F) {
	f.Add("Package: a\nSize: 1\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := paragraphs(strings.NewReader(text), func(block map[string]string) bool {
			n++
			_, _ = parsePackage(block)
			return true
		})
		if err == nil && n > len(text) {
			t.Errorf("%d paragraphs in %d bytes", n, len(text))
		}
	})
}
