package kernel

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A kernel that renames only what is down; the link comes up again whatever
// becomes of the name.
func TestRenameOnOldKernels(t *testing.T) {
	for _, c := range []struct {
		name    string
		refusal error // of the name, once the link is down
		want    []string
	}{
		{"renamed", nil, []string{"name", "down", "name", "up"}},
		{"the name is taken", unix.EEXIST, []string{"name", "down", "name", "up"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, got := true, []string(nil)
			err := rename("tbt-b", func(name string, flags, mask uint32) error {
				switch {
				case name != "" && up:
					got = append(got, "name")
					return unix.EBUSY
				case name != "":
					got = append(got, "name")
					return c.refusal
				case mask == unix.IFF_UP:
					up = flags&unix.IFF_UP != 0
					got = append(got, map[bool]string{true: "up", false: "down"}[up])
				}
				return nil
			})
			if !errors.Is(err, c.refusal) {
				t.Errorf("error %v, want %v", err, c.refusal)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || !up {
				t.Errorf("up %t after (-want +got):\n%s", up, diff)
			}
		})
	}
}
