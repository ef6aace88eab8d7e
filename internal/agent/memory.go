package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// memoryFile is what outlives the agent: state.json in its folder. Nothing of it
// is needed; it makes a start surer.
type memoryFile struct {
	Routers map[string]string `json:"routers"` // UUIDs of peers that were at their port under their name

	path  string
	saved map[string]string
	err   error
}

// maxRemembered bounds the file where machines take a new UUID at every boot.
const maxRemembered = 1024

func loadMemory(folder string) memoryFile {
	m := memoryFile{path: filepath.Join(folder, "state.json")}
	data, err := os.ReadFile(m.path)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.err = err
	}
	if m.Routers == nil || len(m.Routers) > maxRemembered {
		m.Routers = map[string]string{}
	}
	m.saved = maps.Clone(m.Routers)
	return m
}

// remember adds what was seen and writes the file if that is new.
func (m *memoryFile) remember(seen map[string]string) {
	maps.Copy(m.Routers, seen)
	if maps.Equal(m.Routers, m.saved) {
		return
	}
	if m.err = m.write(); m.err == nil {
		m.saved = maps.Clone(m.Routers)
	}
}

func (m *memoryFile) write() error { return writeFile(m.path, m, true) }

// writeFile replaces a file in one step: a reader sees the old or the new one. With
// sync that also holds when the power fails.
func writeFile(path string, v any, sync bool) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if sync {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
