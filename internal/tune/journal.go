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

	"golang.org/x/sys/unix"
)

// Journal is the file of what was before.
type Journal struct {
	path string
	page page
}

// page is what the file holds.
type page struct {
	Life   string // boot and network namespace: what else the values mean
	Values []value
}

// value is a knob as it was found, what was asked of it, and what it made of that.
type value struct {
	Knob            knob
	Was, Asked, Set string
}

// OpenJournal reads the file of that path, if there is one. Its folder must exist.
// Root holds proc, for the number of the boot: "" or "/" on a machine. What was
// written before the last boot, or in another network namespace than that of the
// calling thread, counts as nothing.
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
	life, err := life(root)
	if err != nil {
		return nil, fmt.Errorf("tune: journal: which boot is this? %w", err)
	}
	if j.page.Life != life {
		j.page = page{Life: life}
	}
	return j, nil
}

// life names this boot and this network namespace: interfaces have other indices
// in another one.
func life(root string) (string, error) {
	boot, err := os.ReadFile(filepath.Join("/", root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(boot))
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err == nil {
		name += fmt.Sprintf(" net %d", ns.Ino)
	}
	return name, nil
}

// Forget removes the file, once everything in it has been given back.
func (j *Journal) Forget() error {
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tune: journal: %w", err)
	}
	j.page.Values = nil
	return nil
}

// value returns what is remembered of a knob.
func (j *Journal) value(k knob) (value, bool) {
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
	return slices.Clone(j.page.Values)
}

// put notes a knob, or forgets it if v has no knob.
func (j *Journal) put(k knob, v *value) error {
	next := j.page
	next.Values = slices.DeleteFunc(slices.Clone(next.Values), func(o value) bool { return o.Knob == k })
	if v != nil {
		next.Values = append(next.Values, *v)
	}
	return j.write(next)
}

// write replaces the file, and then the page in memory, by next. Whenever the
// program or the machine stops, the file holds the old page or the new one.
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
	f, err := os.CreateTemp(filepath.Dir(j.path), "."+filepath.Base(j.path)+"-*")
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
	return os.Rename(f.Name(), j.path)
}
