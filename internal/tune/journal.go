package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Journal is the file of what was before. Its methods may be called from any
// goroutine.
type Journal struct {
	path string
	mu   sync.Mutex
	page page
}

// page is what the file holds.
type page struct {
	Boot   string // the kernel's boot_id
	Memory mesh.Memory
	Values []value
}

// value is a knob as it was found, what was asked of it, and what it made of that.
type value struct {
	Knob            knob
	Was, Asked, Set string
}

// OpenJournal reads the file of that path, if there is one. Its folder must exist.
// Root holds proc, for the number of the boot: "" or "/" on a machine. What was
// written before the last boot counts as nothing.
//
// A file that can't be read is an error and stays as it is: it may hold the only
// copy of what was.
func OpenJournal(path, root string) (*Journal, error) {
	j := &Journal{path: path}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("tune: journal: %w", err)
	default:
		if err := json.Unmarshal(text, &j.page); err != nil {
			return nil, fmt.Errorf("tune: journal %s can't be read (move it away to go on without what it remembers): %w", path, err)
		}
	}
	boot, err := os.ReadFile(filepath.Join("/", root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return nil, fmt.Errorf("tune: journal: which boot is this? %w", err)
	}
	if id := strings.TrimSpace(string(boot)); j.page.Boot != id {
		j.page = page{Boot: id}
	}
	return j, nil
}

// Remember notes what changes are about to overwrite, on disk when it returns. It
// is made for kernel.Remembering.
func (j *Journal) Remember(have mesh.State, changes []mesh.Change) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	memory, err := j.memory()
	if err != nil {
		return err
	}
	if !memory.Remember(have, changes) {
		return nil
	}
	next := j.page
	next.Memory = *memory
	return j.write(next)
}

// Memory returns a copy of what is remembered of the network configuration, for
// kernel.Cleanup.
func (j *Journal) Memory() (*mesh.Memory, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.memory()
}

func (j *Journal) memory() (*mesh.Memory, error) {
	text, err := json.Marshal(j.page.Memory)
	if err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	m := &mesh.Memory{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	return m, nil
}

// Forget removes the file, once everything in it has been given back.
func (j *Journal) Forget() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tune: journal: %w", err)
	}
	j.page = page{Boot: j.page.Boot}
	return nil
}

// value returns what is remembered of a knob.
func (j *Journal) value(k knob) (value, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, v := range j.page.Values {
		if v.Knob == k {
			return v, true
		}
	}
	return value{}, false
}

// values returns everything remembered of knobs, in the order in which they were
// set.
func (j *Journal) values() []value {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.page.Values)
}

// put notes a knob, or forgets it if v has no knob.
func (j *Journal) put(k knob, v *value) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	next := j.page
	next.Values = slices.DeleteFunc(slices.Clone(next.Values), func(o value) bool { return o.Knob == k })
	if v != nil {
		next.Values = append(next.Values, *v)
	}
	return j.write(next)
}

// write replaces the file, and then the page in memory, by next. Whenever the
// machine stops, the file holds the old page or the new one.
func (j *Journal) write(next page) error {
	if err := j.replace(next); err != nil {
		return fmt.Errorf("tune: journal: %w", err)
	}
	j.page = next
	return nil
}

func (j *Journal) replace(next page) (err error) {
	text, err := json.MarshalIndent(next, "", "\t")
	if err != nil {
		return err
	}
	folder := filepath.Dir(j.path)
	f, err := os.CreateTemp(folder, "."+filepath.Base(j.path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), j.path); err != nil {
		return err
	}
	d, err := os.Open(folder) // the new name, too, has to reach the disk
	if err != nil {
		return nil //nolint:nilerr // the file is in place; only a crash of the machine could still lose it
	}
	defer d.Close()
	_ = d.Sync() // not every file system can
	return nil
}
