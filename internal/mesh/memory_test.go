package mesh_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The driver gives thunderbolt0 to a port that is plugged while the one before has
// been renamed. They can't both get it back.
func TestUndoGivesEachNameOnce(t *testing.T) {
	var m mesh.Memory
	first := mesh.Link{Name: "thunderbolt0", Index: 5}
	second := mesh.Link{Name: "thunderbolt0", Index: 6}
	stranger := mesh.Link{Name: "thunderbolt1", Index: 7}
	m.Remember(mesh.State{Links: []mesh.Link{first}}, mesh.Renames([]mesh.Link{first}, map[int]string{5: "tbt-b"}))
	first.Name = "tbt-b"
	links := []mesh.Link{first, second, stranger}
	m.Remember(mesh.State{Links: links}, mesh.Renames(links, map[int]string{6: "tbt-c"}))
	second.Name = "tbt-c"
	var got []string
	for _, c := range m.Undo(mesh.State{Links: []mesh.Link{first, second, stranger}}) {
		got = append(got, c.String())
	}
	want := []string{"rename link 5 to thunderbolt0", "rename link 6 to thunderbolt2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
