package guest

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// logs copies the kernel's messages into a file.
type logs struct {
	cancel context.CancelFunc
	done   chan error
}

func (m *Machine) follow() (*logs, error) {
	f, err := os.Create(m.Kmsg())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &logs{cancel: cancel, done: make(chan error, 1)}
	go func() {
		err := m.copyMessages(ctx, f)
		l.done <- errors.Join(err, f.Close())
	}()
	return l, nil
}

// copyMessages ends when the guest does; that is no error.
func (m *Machine) copyMessages(ctx context.Context, f *os.File) error {
	for next := 0; ; {
		in := wire.Kmsg{After: next, Wait: 30 * time.Second}
		var out wire.Messages
		if err := m.call(ctx, "Kmsg", in, &out); err != nil {
			return nil //nolint:nilerr // the guest is gone or no longer wanted
		}
		next = out.Next
		if len(out.Lines) == 0 {
			continue
		}
		if _, err := f.WriteString(strings.Join(out.Lines, "\n") + "\n"); err != nil {
			return err
		}
	}
}

func (l *logs) close() error {
	l.cancel()
	return <-l.done
}
