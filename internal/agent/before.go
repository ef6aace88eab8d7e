package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/tune"
)

// before is what the kernel held before the first start, in kernel.json of the
// folder for what outlives the agent. It is about one life of one kernel's network:
// after a reboot nothing of it is true, and indices of interfaces mean others.
type before struct {
	Life   string      `json:"life"`
	Memory mesh.Memory `json:"memory"`

	path string
}

func loadBefore(folder string) *before {
	b := &before{path: filepath.Join(folder, "kernel.json")}
	data, err := os.ReadFile(b.path)
	if err == nil {
		err = json.Unmarshal(data, b)
	}
	if now := life(); err != nil || b.Life != now {
		b.Life, b.Memory = now, mesh.Memory{}
	}
	return b
}

// life names this boot and this network namespace.
func life() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(boot))
	var st syscall.Stat_t
	if syscall.Stat("/proc/thread-self/ns/net", &st) == nil {
		name += fmt.Sprintf(" net %d", st.Ino)
	}
	return name
}

// remember notes what changes are about to overwrite. It need not survive a loss of
// power, which the kernel's state does not survive either.
func (b *before) remember(have mesh.State, changes []mesh.Change) error {
	if !b.Memory.Remember(have, changes) {
		return nil
	}
	return writeFile(b.path, b, false)
}

// Cleanup gives the kernel back as it was before the first start of an agent with
// this folder, and forgets. No agent may run meanwhile.
func Cleanup(ctx context.Context, o Options) error {
	o = o.defaults()
	k, err := kernel.Open()
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	b := loadBefore(o.State)
	changes, err := kernel.Cleanup(ctx, k, &b.Memory)
	o.Log.Info("cleaned up", "changes", len(changes), "error", err)
	err = errors.Join(err, k.Close(), untune(o))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// untune gives back what was tuned, if anything was.
func untune(o Options) error {
	path := filepath.Join(o.State, tuningFile)
	if !exists(path) {
		return nil
	}
	j, err := tune.OpenJournal(path, o.Root)
	if err != nil {
		return err
	}
	t := tune.New(o.Root, j)
	if err := errors.Join(t.Undo(), t.Close()); err != nil {
		return err
	}
	return j.Forget()
}
