package kernel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// convergeRounds bounds how often Converge applies. One round is enough on a quiet
// kernel; a cable that is plugged or pulled meanwhile takes another.
const convergeRounds = 3

// DriftError says that a kernel is not as wanted although Apply reported no
// error: something else changes it, or the kernel took a value and dropped it.
type DriftError struct {
	Missing []mesh.Change // what would still have to be done
}

func (e *DriftError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the kernel differs from what was applied in %d points", len(e.Missing))
	for _, c := range e.Missing {
		b.WriteString("\n  " + c.String() + ": " + c.Reason)
	}
	return b.String()
}

// Converge brings a kernel to the wanted state and proves it: it reads the
// state, applies the difference, and reads again until no difference is left. It
// returns the changes that stand, also beside an error.
//
// Nothing is rolled back. The order of the changes makes each of them good by
// itself, a mesh with one route missing beats none, and going back would risk
// what worked. The error says what is missing: an *ApplyError lists the changes
// that the kernel refused, a *DriftError those that it took but does not show.
func Converge(ctx context.Context, door Door, want mesh.State) ([]mesh.Change, error) {
	var stand []mesh.Change
	var refused *ApplyError
	for round := 0; ; round++ {
		have, err := door.Snapshot(ctx)
		if err != nil {
			return stand, fmt.Errorf("converge: %w", err)
		}
		changes := mesh.Diff(have, want)
		switch {
		case len(changes) == 0:
			return stand, nil
		case round == convergeRounds && refused != nil:
			return stand, fmt.Errorf("converge: %w", refused)
		case round == convergeRounds:
			return stand, fmt.Errorf("converge: %w", &DriftError{changes})
		}
		// A refusal may be over in the next round: the cable that was pulled
		// between Snapshot and Apply is absent then.
		refused = nil
		switch err := door.Apply(ctx, changes); {
		case err == nil:
			stand = append(stand, changes...)
		case errors.As(err, &refused):
			stand = append(stand, refused.Stand...)
		default:
			return stand, fmt.Errorf("converge: %w", err)
		}
	}
}
