package fabric

import (
	"fmt"
	"io"
	"time"
)

// tracer writes lines; nil writes none. It is called with the fabric's lock held, so that
// lines stand in the order of events.
type tracer struct {
	w      io.Writer
	start  time.Time
	failed error
}

func newTracer(w io.Writer) *tracer {
	if w == nil {
		return nil
	}
	return &tracer{w: w, start: time.Now()}
}

// line writes the time in seconds, who it is about, a direction and a text.
func (t *tracer) line(who string, direction byte, text string) {
	if t == nil || t.failed != nil {
		return
	}
	_, t.failed = fmt.Fprintf(t.w, "%11.6f %-12s %c %s\n", time.Since(t.start).Seconds(), who, direction, text)
}

func (t *tracer) event(who, text string) { t.line(who, '*', text) }

func (t *tracer) err() error {
	if t == nil || t.failed == nil {
		return nil
	}
	return fmt.Errorf("trace: %w", t.failed)
}
