package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

var (
	// ErrNoDummy says that the kernel can't make dummy interfaces (built without
	// CONFIG_DUMMY, or the module is missing). A mesh.KindBridge serves as well.
	ErrNoDummy = errors.New("the kernel has no dummy interfaces")
	// ErrForeign says that the place of a wanted object is taken by one that is
	// not ours and therefore stays.
	ErrForeign = errors.New("its place is taken by something that is not ours")
	// ErrAbsent says that the interface a change needs does not exist.
	ErrAbsent = errors.New("the interface does not exist")
)

// Failure is one change that could not be carried out.
type Failure struct {
	Change mesh.Change
	Err    error // an errno and the kernel's own words, or one of the errors above
}

func (f Failure) Error() string { return f.Change.String() + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f Failure) Unwrap() error { return f.Err }

// ApplyError says what became of a list of changes of which some failed. The
// others stand: changes come in an order in which each is good by itself, so
// what could be done is better kept than taken back.
type ApplyError struct {
	Stand  []mesh.Change // carried out, in order
	Failed []Failure     // in order
}

func (e *ApplyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d changes failed, the others stand", len(e.Failed), len(e.Failed)+len(e.Stand))
	for _, f := range e.Failed {
		b.WriteString("\n  " + f.Error())
	}
	return b.String()
}

// Unwrap makes errors.Is and errors.As look into every failure.
func (e *ApplyError) Unwrap() []error {
	out := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		out[i] = f
	}
	return out
}

// ApplyEach carries out changes in order with apply, and returns nil or an
// *ApplyError. Doors share it, so that they fail alike.
func ApplyEach(changes []mesh.Change, apply func(mesh.Change) error) error {
	e := &ApplyError{}
	for _, c := range changes {
		if err := apply(c); err != nil {
			e.Failed = append(e.Failed, Failure{c, err})
		} else {
			e.Stand = append(e.Stand, c)
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}
