package kerneltest

import (
	"errors"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// What belongs to ports by name and by index, and rules by mark.

const fresh = "thunderbolt0"

func renaming(b *bench) {
	b.plug(fresh, portC)
	want := triangle()
	b.converge(want)
	index := b.index(fresh)
	up := mesh.Link{Name: fresh, MTU: 1500, Up: true}
	stray := mesh.Address{Interface: fresh, Local: mesh.HostPrefix(identityB[0])}
	b.must(b.Apply(b.ctx, []mesh.Change{{Op: mesh.Set, Link: &up}, {Op: mesh.Add, Address: &stray}}))
	b.must(b.Apply(b.ctx, mesh.Renames(b.state().Links, map[int]string{index: portB})))
	if after := b.index(portB); after != index || b.index(fresh) != 0 {
		b.Fatalf("%s has index %d, want %d", portB, after, index)
	}
	have := b.state()
	stray.Interface = portB
	if !slices.Contains(have.Addresses, stray) {
		b.Errorf("the address did not follow: %v", have.Addresses)
	}
	if !slices.ContainsFunc(have.Links, func(l mesh.Link) bool { return l.Name == portB && l.Up }) {
		b.Errorf("the port is down: %v", have.Links)
	}
	b.converge(want)
	b.stands(*want)
}

func swapping(b *bench) {
	b.plug(portB, portC)
	want := triangle()
	b.converge(want)
	atB, atC := b.index(portB), b.index(portC)
	b.must(b.Apply(b.ctx, mesh.Renames(b.state().Links, map[int]string{atB: portC, atC: portB})))
	if b.index(portB) != atC || b.index(portC) != atB {
		b.Fatalf("%s and %s did not swap", portB, portC)
	}
	// The routes went with the interfaces; they and the aliases are put right.
	b.converge(want)
	b.stands(*want)
}

func nameTaken(b *bench) {
	b.plug(fresh, portC)
	index := b.index(fresh)
	err := b.Apply(b.ctx, []mesh.Change{{Op: mesh.Rename, Link: &mesh.Link{Name: portC, Index: index}}})
	if !errors.Is(err, kernel.ErrForeign) {
		b.Errorf("error %v, want ErrForeign", err)
	}
	err = b.Apply(b.ctx, []mesh.Change{{Op: mesh.Rename, Link: &mesh.Link{Name: portB, Index: index + 1000}}})
	if !errors.Is(err, kernel.ErrAbsent) {
		b.Errorf("error %v, want ErrAbsent", err)
	}
	b.must(b.Apply(b.ctx, []mesh.Change{{Op: mesh.Rename, Link: &mesh.Link{Name: fresh, Index: index}}}))
	if b.index(fresh) != index {
		b.Errorf("%s is gone", fresh)
	}
}

func markedRules(b *bench) {
	b.plug(portB)
	want := triangle()
	for _, v6 := range []bool{false, true} {
		for k := range 2 {
			want.Rules = append(want.Rules, mesh.Rule{
				Mark: mesh.SteerMark(k), Table: mesh.SteerTable(k), Priority: mesh.RulePriorityFirst, IPv6: v6,
			})
		}
	}
	b.converge(want)
	marked := func() (n int) {
		for _, r := range b.state().Rules {
			if r.Mark != 0 && slices.Contains(want.Rules, r) {
				n++
			}
		}
		return n
	}
	if n := marked(); n != 4 {
		b.Fatalf("%d rules by mark stand, want 4, also without their ports", n)
	}
	want.Rules = slices.DeleteFunc(want.Rules, func(r mesh.Rule) bool { return r.Mark == mesh.SteerMark(0) })
	b.converge(want)
	if n := marked(); n != 2 {
		b.Errorf("%d rules by mark stand, want 2", n)
	}
}
