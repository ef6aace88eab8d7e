package cpio_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/emulator/guest/cpio"
)

// read takes an archive apart by the rules of the kernel's buffer-format document, without any code of the writer.
func read(t *testing.T, a []byte) []string {
	t.Helper()
	var out []string
	for at := 0; ; {
		if at%4 != 0 {
			t.Fatalf("a header at %d is not aligned", at)
		}
		head := string(a[at : at+110])
		if head[:6] != "070701" {
			t.Fatalf("magic %q at %d", head[:6], at)
		}
		field := func(n int) int {
			v, err := strconv.ParseUint(head[6+8*n:14+8*n], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		size, names := field(6), field(11)
		name := string(a[at+110 : at+110+names-1])
		body := (at + 110 + names + 3) &^ 3
		if name == "TRAILER!!!" {
			return out
		}
		out = append(out, fmt.Sprintf("%06o %s %d,%d %q", field(1), name, field(9), field(10), a[body:body+size]))
		at = (body + size + 3) &^ 3
	}
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for _, err := range []error{
		w.File("/init", 0o755, []byte("hello")), w.File("a/b/c", 0o600, nil), w.Symlink("a/l", "b/c"),
		w.Device("dev/console", 0o600, 5, 1), w.Dir("a"), w.Dir("../proc/"), w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`100755 init 0,0 "hello"`, `040755 a 0,0 ""`, `040755 a/b 0,0 ""`, `100600 a/b/c 0,0 ""`, `120777 a/l 0,0 "b/c"`,
		`040755 dev 0,0 ""`, `020600 dev/console 5,1 ""`, `040755 proc 0,0 ""`,
	}
	if d := cmp.Diff(want, read(t, b.Bytes())); d != "" {
		t.Error(d)
	}
	if n := strings.Count(b.String(), "070701"); n != len(want)+1 {
		t.Errorf("%d headers", n)
	}
}
