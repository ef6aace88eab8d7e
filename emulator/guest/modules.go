package guest

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// module is a kernel module, unpacked.
type module struct {
	Name string // with underscores, as in /proc/modules
	Data []byte
}

// modules finds kernel modules in an image and what they depend on. The packages come without
// modules.dep, which depmod makes at installation; each module says it itself (.modinfo).
type modules struct {
	files   map[string]string
	builtin map[string]bool
}

// moduleName strips folder and endings: "a/thunderbolt-net.ko.xz" is thunderbolt_net.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func modulesIn(dir, release string) (modules, error) {
	m := modules{files: map[string]string{}, builtin: map[string]bool{}}
	root := filepath.Join(dir, "usr/lib/modules", release)
	err := filepath.WalkDir(filepath.Join(root, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".ko") {
			m.files[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return m, err
	}
	text, err := os.ReadFile(filepath.Join(root, "modules.builtin"))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		m.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return m, nil
}

// Has says whether the kernel has the module, built in or as a file.
func (m modules) Has(name string) bool {
	return m.builtin[moduleName(name)] || m.files[moduleName(name)] != ""
}

// Load returns the named modules and all that they need, in an order in which they can be loaded.
// What is built in is left out.
func (m modules) Load(names ...string) ([]module, error) {
	var all []module
	done := map[string]bool{}
	var add func(name, by string) error
	add = func(name, by string) error {
		name = moduleName(name)
		if done[name] || m.builtin[name] {
			return nil
		}
		done[name] = true
		file := m.files[name]
		if file == "" {
			return fmt.Errorf("the kernel has no module %s%s", name, by)
		}
		data, err := readModule(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		needs, err := dependsOf(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, n := range needs {
			if n == softly["crc32c"] && !m.Has(n) {
				continue // a later kernel, which has it elsewhere
			}
			if err := add(n, ", which "+name+" needs"); err != nil {
				return err
			}
		}
		all = append(all, module{Name: name, Data: data})
		return nil
	}
	for _, name := range names {
		if err := add(name, ""); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readModule(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(file, ".xz") {
		return data, err
	}
	r, err := xz.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// softly are modules by what other modules call them in "softdep=pre: crc32c" of .modinfo: an alias, for
// which modprobe looks into a table that depmod makes. Without the module the other one's start fails.
var softly = map[string]string{"crc32c": "crc32c_generic"}

// dependsOf reads "depends=a,b" from a module's section .modinfo, and the soft dependencies that we know.
func dependsOf(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no .modinfo: not a kernel module")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	var all []string
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok && list != "" {
			all = append(all, strings.Split(list, ",")...)
		}
		if list, ok := strings.CutPrefix(string(field), "softdep=pre: "); ok {
			for name := range strings.FieldsSeq(list) {
				if soft := softly[name]; soft != "" {
					all = append(all, soft)
				}
			}
		}
	}
	return all, nil
}
