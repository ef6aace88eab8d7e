package kerneltest

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// TestCleanupAfterAnything runs two kernels. Both see the same cables plugged and
// pulled, one also has a mesh configured, with plans that change, ports renamed
// and lives of the program that end anywhere. Cleaned up, it is like the other.
func TestCleanupAfterAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		with, without := NewFake(), NewFake()
		both := func(f func(*Fake) error) {
			a, b := f(with), f(without)
			if (a == nil) != (b == nil) {
				t.Fatalf("with a mesh: %v; without: %v", a, b)
			}
		}
		kernelName := map[int]string{} // of a port by index, in the kernel with the mesh
		plug := func(name string) {
			both(func(f *Fake) error { return f.Plug(name) })
			for _, l := range must(with.Snapshot(t.Context())).Links {
				if l.Name == name {
					kernelName[l.Index] = name
				}
			}
		}
		plug("thunderbolt0")
		if rapid.Bool().Draw(t, "somebody has configured") {
			link := mesh.Link{Name: "thunderbolt0", Alias: rapid.SampledFrom([]string{"", "mine"}).Draw(t, "alias"), MTU: 4000, Up: true}
			address := mesh.Address{Interface: "thunderbolt0", Local: netip.MustParsePrefix("192.0.2.1/32")}
			forward := mesh.Sysctl{Path: "net/ipv6/conf/thunderbolt0/forwarding", Value: "1"}
			both(func(f *Fake) error {
				return f.Apply(t.Context(), []mesh.Change{{Op: mesh.Set, Link: &link}, {Op: mesh.Add, Address: &address}, {Op: mesh.Set, Sysctl: &forward}})
			})
		}
		var memory mesh.Memory
		door := kernel.Remembering(with, func(have mesh.State, changes []mesh.Change) error {
			memory.Remember(have, changes)
			return nil
		})
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"thunderbolt0", "thunderbolt1"}).Draw(t, "port")
			switch rapid.SampledFrom([]string{"plug", "pull", "rename", "configure", "die"}).Draw(t, "step") {
			case "plug":
				if without.link(name) == nil && with.link(name) == nil {
					plug(name)
				}
			case "pull":
				for _, l := range must(with.Snapshot(t.Context())).Links {
					if kernelName[l.Index] == name {
						if err := with.Unplug(l.Name); err != nil {
							t.Fatal(err)
						}
						if err := without.Unplug(name); err != nil {
							t.Fatal(err)
						}
					}
				}
			case "rename":
				names := map[int]string{}
				for _, l := range must(with.Snapshot(t.Context())).Links {
					if kernelName[l.Index] == name {
						names[l.Index] = rapid.SampledFrom([]string{portB, portC, name}).Draw(t, "name")
					}
				}
				_ = door.Apply(t.Context(), mesh.Renames(must(door.Snapshot(t.Context())).Links, names)) // may be taken
			case "configure":
				want := triangle()
				want.Routes = want.Routes[rapid.IntRange(0, 4).Draw(t, "routes left out"):]
				want.Addresses = append(want.Addresses, mesh.Address{Interface: portB, Local: netip.MustParsePrefix("fe80::7562:1/64")})
				_, _ = kernel.Converge(t.Context(), door, *want) // a foreign alias is in the way
			case "die":
				text, err := json.Marshal(&memory)
				if err != nil {
					t.Fatal(err)
				}
				memory = mesh.Memory{}
				if err := json.Unmarshal(text, &memory); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := kernel.Cleanup(t.Context(), with, &memory); err != nil {
			t.Fatal(err)
		}
		a, b := must(with.Snapshot(t.Context())), must(without.Snapshot(t.Context()))
		for _, s := range []*mesh.State{&a, &b} {
			for i := range s.Links {
				s.Links[i].Index = 0 // umesh0 took one
			}
		}
		if diff := cmp.Diff(lines(b), lines(a)); diff != "" {
			t.Fatalf("never configured and cleaned up differ (-never +cleaned):\n%s", diff)
		}
	})
}

func must(s mesh.State, err error) mesh.State {
	if err != nil {
		panic(err)
	}
	return s
}

// What a memory says does not depend on the order in which it came about, and
// noting something twice adds nothing.
func TestRememberOnce(t *testing.T) {
	f := NewFake()
	if err := f.Plug(portB); err != nil {
		t.Fatal(err)
	}
	have := must(f.Snapshot(t.Context()))
	changes := mesh.Diff(have, *triangle())
	var m mesh.Memory
	if !m.Remember(have, changes) {
		t.Error("a first memory is nothing new")
	}
	first, _ := json.Marshal(&m)
	slices.Reverse(changes)
	if m.Remember(have, changes) {
		t.Error("the same again is something new")
	}
	if again, _ := json.Marshal(&m); string(again) != string(first) {
		t.Errorf("was %s, is %s", first, again)
	}
	if !strings.Contains(string(first), portB) || strings.Contains(string(first), portC) {
		t.Errorf("remembered is not exactly what is there: %s", first)
	}
}
