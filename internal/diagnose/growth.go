package diagnose

import "github.com/usb4mesh/usb4mesh/internal/mesh"

// since returns later with the counters of its links less what they were before: what
// happened in between. A link whose interface is another one than before, or whose
// counters began anew, keeps them.
func since(earlier, later mesh.Hardware) mesh.Hardware {
	before := map[string]mesh.USB4Link{}
	for _, l := range earlier.Links {
		before[l.Interface+" "+l.Parent+" "+l.MAC] = l
	}
	links := make([]mesh.USB4Link, len(later.Links))
	copy(links, later.Links)
	for i, l := range links {
		was, known := before[l.Interface+" "+l.Parent+" "+l.MAC]
		if !known || l.Interface == "" {
			continue
		}
		grown, anew := map[string]uint64{}, false
		for name, n := range l.Stats {
			anew = anew || n < was.Stats[name]
			grown[name] = n - was.Stats[name]
		}
		if !anew {
			links[i].Stats = grown
		}
	}
	later.Links = links
	return later
}
