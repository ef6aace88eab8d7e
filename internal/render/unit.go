package render

import "strings"

// unit is one file in systemd's syntax, as data. systemd.syntax(7).
type unit struct {
	name     string // 50-tbt-02.network
	note     string // a comment line below the header, or ""
	sections []section
	added    []section // sections that the user's settings add
}

// section is one [name] with its settings. A name may occur several times. The
// note is a comment above it, or "".
type section struct {
	name, note string
	settings   []setting
}

// setting is one key=value. The note is a comment above it, or "". User says
// that it came from the cluster file's settings.
type setting struct {
	key, value, note string
	user             bool
}

func sec(name string, settings ...setting) section {
	return section{name: name, settings: settings}
}

func set(key, value string) setting { return setting{key: key, value: value} }

// ini writes the unit's sections, each after an empty line.
func (u unit) ini() string {
	var b strings.Builder
	if u.note != "" {
		b.WriteString("# " + u.note + "\n")
	}
	for _, s := range append(u.sections[:len(u.sections):len(u.sections)], u.added...) {
		b.WriteString("\n")
		if s.note != "" {
			b.WriteString("# " + s.note + "\n")
		}
		b.WriteString("[" + s.name + "]\n")
		for _, l := range s.settings {
			if l.note != "" {
				b.WriteString("# " + l.note + "\n")
			}
			b.WriteString(l.key + "=" + l.value + "\n")
		}
	}
	return b.String()
}
