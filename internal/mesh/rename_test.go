package mesh_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestRenames(t *testing.T) {
	have := []mesh.Link{{Name: "lo", Index: 1}, {Name: "thunderbolt0", Index: 7}, {Name: "tbt-c", Index: 5}, {Name: "tbt-b", Index: 6}, {Name: "eth0", Index: 2}}
	for _, c := range []struct {
		name  string
		names map[int]string
		want  []string
	}{
		{"as planned", map[int]string{5: "tbt-c"}, nil},
		{"a fresh port", map[int]string{7: "tbt-d"}, []string{"rename link 7 to tbt-d"}},
		{"a chain, last first", map[int]string{5: "tbt-d", 6: "tbt-c", 7: "tbt-b"},
			[]string{"rename link 5 to tbt-d", "rename link 6 to tbt-c", "rename link 7 to tbt-b"}},
		{"a swap", map[int]string{5: "tbt-b", 6: "tbt-c"},
			[]string{"rename link 5 to um-5", "rename link 6 to tbt-c", "rename link 5 to tbt-b"}},
		{"somebody else's name", map[int]string{7: "eth0"}, []string{"rename link 7 to eth0"}},
		{"gone since", map[int]string{99: "tbt-z"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, change := range mesh.Renames(have, c.names) {
				got = append(got, change.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever the ports are called, each step is possible and all names are right in
// the end.
func TestRenamesAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "ports")
		name := func(i int) string { return fmt.Sprintf("tbt-%d", i) }
		was := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "names before")
		will := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "names after")
		var have []mesh.Link
		names, now := map[int]string{}, map[string]int{}
		for i := range n {
			have = append(have, mesh.Link{Name: name(was[i]), Index: i + 1})
			names[i+1] = name(will[i])
			now[name(was[i])] = i + 1
		}
		changes := mesh.Renames(have, names)
		if len(changes) > n+n/2 {
			t.Fatalf("%d changes for %d ports", len(changes), n)
		}
		for _, c := range changes {
			if holder, taken := now[c.Link.Name]; taken {
				t.Fatalf("%s: the name is that of link %d", c, holder)
			}
			for k, index := range now {
				if index == c.Link.Index {
					delete(now, k)
				}
			}
			now[c.Link.Name] = c.Link.Index
		}
		for index, want := range names {
			if now[want] != index {
				t.Fatalf("link %d is not %s after %v", index, want, changes)
			}
		}
	})
}
