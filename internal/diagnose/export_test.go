package diagnose

import "slices"

// Codes returns the codes of all rules.
func Codes() []string {
	seen := map[string]bool{}
	var visit func([]*rule)
	visit = func(rs []*rule) {
		for _, r := range rs {
			if r.code != "" {
				seen[r.code] = true
			}
			visit(r.below)
		}
	}
	visit(tree)
	visit([]*rule{creditWindow, linkIsLimit, controllerIsLimit, beyondLink, belowLimits})
	for _, d := range defects {
		seen[d.Code] = true
	}
	var out []string
	for c := range seen {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// Affected tells whether a machine of a release and /proc/version has a defect, and
// whether that is sure.
func Affected(code, osrelease, procVersion string) (affected, sure bool) {
	h := Input{}.Hardware
	h.Release, h.Version = osrelease, procVersion
	r := releaseOf(h)
	for _, d := range defects {
		if d.Code == code && r.known {
			affected, sure, _ = d.verdict(r)
		}
	}
	return affected, affected && sure
}

var (
	Within   = within
	SystemOf = systemOf
	Others   = map[string]system{"debian": debian, "proxmox": proxmox, "nixos": nixos, "talos": talos, "fedora": fedora, "other": otherLinux}
)
