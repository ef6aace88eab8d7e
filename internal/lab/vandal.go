package lab

import (
	"context"
	"fmt"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

const opVandal = "vandal"

// Things that some other program may take from the kernel of a node.
const (
	VandalRoute   = "route"
	VandalRule    = "rule"
	VandalAddress = "address"
	VandalDown    = "down"  // an interface is set down
	VandalFlush   = "flush" // all our routes at once
	VandalAlias   = "alias"
)

// Vandals lists them.
func Vandals() []string {
	return []string{VandalRoute, VandalRule, VandalAddress, VandalDown, VandalFlush, VandalAlias}
}

type vandalArgs struct {
	Node, What string
	Pick       int
}

// Vandalize takes something that is the mesh's from a node's kernel, as a careless
// person or another manager might, and says what, "" if there was nothing of the kind.
// Pick chooses among the things that there are, in a fixed order.
func (l *Lab) Vandalize(ctx context.Context, node, what string, pick int) (string, error) {
	var taken string
	err := l.call(ctx, opVandal, vandalArgs{node, what, pick}, &taken)
	return taken, err
}

func (w *world) vandalize(ctx context.Context, a vandalArgs) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.agents()
	if err != nil {
		return "", err
	}
	n, err := w.node(a.Node)
	if err != nil {
		return "", err
	}
	have, err := e.door[n].Snapshot(ctx)
	if err != nil {
		return "", fmt.Errorf("node %s: %w", n.Name, err)
	}
	want := e.want(n)
	var all []mesh.Change
	switch a.What {
	case VandalRoute, VandalFlush:
		for _, r := range have.Routes {
			if r.Protocol == mesh.RouteProtocol {
				all = append(all, mesh.Change{Op: mesh.Remove, Route: &r})
			}
		}
	case VandalRule:
		for _, r := range have.Rules {
			if slices.Contains(want.Rules, r) {
				all = append(all, mesh.Change{Op: mesh.Remove, Rule: &r})
			}
		}
	case VandalAddress:
		for _, x := range have.Addresses {
			if slices.Contains(want.Addresses, x) {
				all = append(all, mesh.Change{Op: mesh.Remove, Address: &x})
			}
		}
	case VandalDown, VandalAlias:
		for _, l := range have.Links {
			if !slices.ContainsFunc(want.Links, func(x mesh.Link) bool { return x.Name == l.Name }) {
				continue
			}
			if a.What == VandalDown {
				l.Up = false
			} else {
				l.Alias = ""
			}
			all = append(all, mesh.Change{Op: mesh.Set, Link: &l})
		}
	default:
		return "", fmt.Errorf("nothing is called %q that could be taken: use one of %v", a.What, Vandals())
	}
	if len(all) == 0 {
		return "", nil
	}
	what := fmt.Sprintf("all %d routes", len(all))
	if a.What != VandalFlush {
		all = []mesh.Change{all[a.Pick%len(all)]}
		what = all[0].String()
	}
	return what, e.door[n].Apply(ctx, all)
}
