package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Remembering returns a door that lets remember see every change before it is
// carried out, with the state in which it is about to be. Where remember fails
// nothing is changed: what can't be given back is not taken.
func Remembering(door Door, remember func(have mesh.State, changes []mesh.Change) error) Door {
	return &remembering{Door: door, remember: remember}
}

type remembering struct {
	Door
	remember func(mesh.State, []mesh.Change) error
	have     *mesh.State // of the last Snapshot
}

func (r *remembering) Snapshot(ctx context.Context) (mesh.State, error) {
	have, err := r.Door.Snapshot(ctx)
	if err == nil {
		r.have = &have
	}
	return have, err
}

func (r *remembering) Apply(ctx context.Context, changes []mesh.Change) error {
	if r.have == nil {
		if _, err := r.Snapshot(ctx); err != nil {
			return err
		}
	}
	have := *r.have
	r.have = nil // whoever changes more looks again
	if err := r.remember(have, changes); err != nil {
		return fmt.Errorf("kernel: nothing is changed, since what stands could not be remembered: %w", err)
	}
	return r.Door.Apply(ctx, changes)
}

// Cleanup gives the kernel back as it was before usb4mesh changed anything,
// according to memory: no route, rule, address or interface of ours is left, nor
// what Steer and Guard make, and settings and names are as they were. It returns the
// changes that stand, also beside an error; on an *ApplyError it may be called
// again. An empty memory still finds all that bears our mark.
func Cleanup(ctx context.Context, k interface {
	Door
	Steerer
	Guarder
}, memory *mesh.Memory) ([]mesh.Change, error) {
	var stand []mesh.Change
	for _, undo := range []func(context.Context) error{k.Unsteer, k.Unguard} {
		if err := undo(ctx); err != nil && !errors.Is(err, ErrNoSteering) {
			return nil, err
		}
	}
	var refused *ApplyError
	for round := 0; ; round++ {
		have, err := k.Snapshot(ctx)
		if err != nil {
			return stand, fmt.Errorf("cleanup: %w", err)
		}
		changes := memory.Undo(have)
		switch {
		case len(changes) == 0:
			return stand, nil
		case round == convergeRounds && refused != nil:
			return stand, fmt.Errorf("cleanup: %w", refused)
		case round == convergeRounds:
			return stand, fmt.Errorf("cleanup: %w", &DriftError{changes})
		}
		refused = nil
		switch err := k.Apply(ctx, changes); {
		case err == nil:
			stand = append(stand, changes...)
		case errors.As(err, &refused):
			stand = append(stand, refused.Stand...)
		default:
			return stand, fmt.Errorf("cleanup: %w", err)
		}
	}
}
