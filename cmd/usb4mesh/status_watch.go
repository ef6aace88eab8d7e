package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/status"
)

// again is how long to wait before an agent that went is asked again.
const again = time.Second

// watchStatus shows every status until ctx ends: as lines of JSON, as a screen
// that is drawn in place, or, where nobody can draw, as one screen after another.
func watchStatus(ctx context.Context, client status.Client, w io.Writer, asJSON bool) error {
	f, isFile := w.(*os.File)
	switch {
	case asJSON:
		return client.Watch(ctx, func(_ mesh.Status, raw []byte) error {
			_, err := fmt.Fprintf(w, "%s\n", raw)
			return err
		})
	case !isFile || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())):
		last := ""
		return client.Watch(ctx, func(s mesh.Status, _ []byte) error {
			now, err := essence(s)
			if err != nil || now == last {
				return err
			}
			last = now
			_, err = fmt.Fprintf(w, "%s\n%s\n", s.Now.Format(time.RFC3339), status.Screen(s, statusLook(w)))
			return err
		})
	}
	return drawStatus(ctx, client, f)
}

// essence is what of a status is worth a new screen where each stays: all but clocks
// and counters, which differ every time.
func essence(s mesh.Status) (string, error) {
	s.Now, s.Turn, s.LastTurn = time.Time{}, 0, mesh.TurnStatus{Error: s.LastTurn.Error}
	s.Links = slices.Clone(s.Links)
	for i := range s.Links {
		l := &s.Links[i]
		l.RxBytes, l.TxBytes = 0, 0
		l.Liveness.Sent, l.Liveness.Received, l.Liveness.Dropped = 0, 0, 0
	}
	b, err := json.Marshal(s)
	return string(b), err
}

// Control sequences (ECMA-48, and xterm's private modes 25 and 1049).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[2J" // the other screen, no cursor, cleared
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// drawStatus draws in place. What stands is written over, never cleared first, so
// that nothing flickers; times go on between two changes.
func drawStatus(ctx context.Context, client status.Client, f *os.File) error {
	latest := make(chan mesh.Status)
	gone := make(chan error)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with ctx: every send waits for it, too
		for ctx.Err() == nil {
			err := client.Watch(ctx, func(s mesh.Status, _ []byte) error {
				select {
				case latest <- s:
				case <-ctx.Done():
				}
				return ctx.Err()
			})
			select {
			case gone <- err:
			case <-ctx.Done():
			}
			select {
			case <-time.After(again):
			case <-ctx.Done():
			}
		}
	}()

	fmt.Fprint(f, enterScreen)
	defer fmt.Fprint(f, leaveScreen)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var (
		shown   mesh.Status
		arrived time.Time
		lost    error
	)
	for {
		select {
		case shown = <-latest:
			arrived, lost = time.Now(), nil
		case lost = <-gone:
			var unavailable *status.Unavailable
			if arrived.IsZero() || !errors.As(lost, &unavailable) {
				return lost // it never worked, or will not again
			}
		case <-second.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if arrived.IsZero() {
			continue
		}
		look := statusLook(f)
		look.Now = shown.Now.Add(time.Since(arrived))
		text := status.Screen(shown, look)
		if lost != nil {
			text = fmt.Sprintf("The agent does not answer; this is what it said %s ago.\n\n%s", time.Since(arrived).Round(time.Second), text)
		}
		_, rows, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return err
		}
		if _, err := io.WriteString(f, frame(text, rows)); err != nil {
			return err
		}
	}
}

// frame makes of a text what draws it over the one before, cut to so many rows.
func frame(text string, rows int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if rows > 1 && len(lines) > rows {
		hidden := len(lines) - rows + 1
		lines = append(lines[:rows-1], fmt.Sprintf("... %d more lines; `usb4mesh status` shows all", hidden))
	}
	return home + strings.Join(lines, clearLine+"\r\n") + clearLine + clearBelow
}
