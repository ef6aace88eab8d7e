package diagnose

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// version is a kernel version of up to three numbers.
type version [3]int

func parseVersion(s string) (v version, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 9999 {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func (v version) before(w version) bool { return slices.Compare(v[:], w[:]) < 0 }

func (v version) line() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// release is which kernel runs.
type release struct {
	version
	known bool   // any version was found
	patch bool   // the third number is the upstream one
	text  string // where it stood, for evidence
}

var (
	// Debian names its package in /proc/version: "#1 SMP PREEMPT_DYNAMIC Debian
	// 6.1.176-1 (2026-09-01)". uname -r alone says 6.1.0-44, a number of the ABI. What
	// stands before the # is the compiler, which has a Debian version, too.
	debianPackage = regexp.MustCompile(`#\d.*\b(?:Debian|PMX|PVE) (\d+\.\d+\.\d+)[-~+]`)
	leading       = regexp.MustCompile(`^(\d+\.\d+(?:\.\d+)?)`)
	// Distributions that freeze the third number: 6.1.0-44-amd64, 6.8.0-45-generic.
	frozen = regexp.MustCompile(`^\d+\.\d+\.0-\d+(\.\d+)*-`)
)

func releaseOf(h mesh.Hardware) release {
	if m := debianPackage.FindStringSubmatch(h.Version); m != nil {
		if v, ok := parseVersion(m[1]); ok {
			return release{version: v, known: true, patch: true, text: m[0]}
		}
	}
	if m := leading.FindString(h.Release); m != "" {
		if v, ok := parseVersion(m); ok {
			return release{version: v, known: true, patch: !frozen.MatchString(h.Release) && !strings.Contains(h.Release, ".el"), text: h.Release}
		}
	}
	return release{text: h.Release}
}

//go:embed kernels.json
var kernelData []byte

// defect is a known fault of the drivers, by version. The texts are those of a rule.
type defect struct {
	Code, Severity, Title, Explain, Cause, Fix, Gain, Source, Proof string

	// Vendors of controllers it concerns, PCI ids; all if empty.
	Vendors []int
	// Mainline and Lines say where it is: introduced "" means from the start, fixed
	// "" means not yet in the newest version that was read, which is Seen.
	Mainline span
	Lines    map[string]span
}

type span struct{ Introduced, Fixed, Seen string }

// has reports whether a version lies in the span.
func (s span) has(v version) bool {
	if from, ok := parseVersion(s.Introduced); ok && v.before(from) {
		return false
	}
	if to, ok := parseVersion(s.Fixed); ok && !v.before(to) {
		return false
	}
	return s != span{}
}

// verdict says whether a kernel has the defect, whether that is sure, and what fixes it.
func (d *defect) verdict(r release) (affected, sure bool, fixed string) {
	if s, ok := d.Lines[r.line()]; ok {
		fixed = s.Fixed
		if fixed == "" {
			fixed = d.Mainline.Fixed
		}
		if !r.patch {
			return false, false, fixed
		}
		seen, known := parseVersion(s.Seen)
		return s.has(r.version), s.Fixed != "" || known && !seen.before(r.version), fixed
	}
	// Stable lines that nobody has read may have got the fix early; what no line has
	// is a feature that came with a release.
	return d.Mainline.has(r.version), len(d.Lines) == 0 && d.Mainline != span{}, d.Mainline.Fixed
}

// defects are the rules made of kernels.json.
var defects = loadDefects(kernelData)

type kernelRule struct {
	*defect
	rule *rule
}

// loadDefects panics on data that the tests of this package would not have let through.
func loadDefects(data []byte) []kernelRule {
	var list []*defect
	if err := json.Unmarshal(data, &list); err != nil {
		panic("diagnose: kernels.json: " + err.Error())
	}
	severities := map[string]finding.Severity{"info": finding.Info, "warning": finding.Warning, "error": finding.Error}
	var out []kernelRule
	for _, d := range list {
		r := &rule{code: d.Code, severity: severities[d.Severity], title: d.Title, explain: d.Explain, cause: d.Cause, fix: d.Fix, gain: d.Gain, source: d.Source, proof: d.Proof}
		out = append(out, kernelRule{d, register([]*rule{r})[0]})
	}
	return out
}

// kernelDefects looks the kernel up in kernels.json.
var kernelDefects = &rule{look: func(s subject) (hits []hit) {
	for _, d := range defects {
		affected, sure, fixed := d.verdict(s.kernel)
		if !s.kernel.known || !affected || !concerns(d.Vendors, s.in.Hardware.Controllers) {
			continue
		}
		h := hit{rule: d.rule, message: fmt.Sprintf("kernel %s has a known defect: %s", s.kernel.version, lowerFirst(d.Title)), evidence: map[string]string{"kernel": s.kernel.text}}
		if !sure {
			h.message = fmt.Sprintf("kernel %s may have a known defect: %s", s.kernel.version, lowerFirst(d.Title))
			h.severity, h.lower = finding.Info, true
		}
		if d.Fix == "" {
			h.fix = s.system.upgrade(fixed)
		}
		hits = append(hits, h)
	}
	return hits
}}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func concerns(vendors []int, cs []mesh.Controller) bool {
	return len(vendors) == 0 || slices.ContainsFunc(cs, func(c mesh.Controller) bool { return slices.Contains(vendors, c.Vendor) })
}

// suffers reports whether the kernel surely has the defect.
func (s subject) suffers(code string) bool {
	for _, d := range defects {
		if affected, sure, _ := d.verdict(s.kernel); d.Code == code && s.kernel.known {
			return affected && sure
		}
	}
	return false
}

var kernelUnknown = &rule{
	code: "kernel-patch-unknown", severity: finding.Info, title: "The exact kernel version can't be told",
	explain: "Distributions that freeze the third number of the version say nothing in `uname -r` about which fixes are in. The rules about known kernel defects stay silent then.",
	cause:   "the release carries an ABI number instead of the upstream patch level", fix: "look into the changelog of your kernel package, or run `usb4mesh diagnose` where /proc/version can be read", gain: "rules about known defects",
	source: "naming of Debian and Ubuntu kernel packages",
	look: func(s subject) []hit {
		if s.kernel.known && s.kernel.patch {
			return nil
		}
		return []hit{{message: "known kernel defects are not checked", evidence: map[string]string{"proc/sys/kernel/osrelease": s.in.Hardware.Release, "proc/version": s.in.Hardware.Version}}}
	},
}
