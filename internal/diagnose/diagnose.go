// Package diagnose says why links are down, slow or at risk: from what a machine
// shows (mesh.Hardware) to findings with evidence, cause, fix, expected gain and
// source.
//
// The rules form a tree. A rule looks at one subject: the machine, a controller, a
// port or a link. Where it finds its problem, the rules below it are not asked:
// a link without carrier has no throughput to explain. What is known about kernels
// and controllers is data (kernels.json, controllers.json), with sources.
package diagnose

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Input is what is known. Only Hardware is needed.
type Input struct {
	Hardware mesh.Hardware
	Peers    []mesh.Hardware // what other machines of the mesh show
	MTU      int             // as planned, 0 for no plan
	// Earlier is the same machine some time before; the counters of links are then what
	// was added since. Without it they are what came together since the interface is there.
	Earlier  *mesh.Hardware
	Measured *Measurement
}

// Measurement is a throughput that somebody measured over one link.
type Measurement struct {
	Gbps        float64 // payload, one way
	Interface   string  // the link; "" where the machine has only one, or for all
	Streams     int     // 0 unknown
	Retransmits int
}

// Finding is a diagnosis.
type Finding struct {
	Kind     *finding.Kind
	Severity finding.Severity
	Subject  string            // interface, device or machine
	Message  string            // what is wrong, one line
	Evidence map[string]string // the very values read, by file or counter
	Cause    string
	Fix      string // a command or setting for this machine's system
	Gain     string // what to expect of the fix
	Source   string // who says so
	Proof    string // what would show that the diagnosis is right
}

// Plain returns the finding in the form that all verbs print.
func (f Finding) Plain() finding.Finding {
	return finding.Finding{Kind: f.Kind, Severity: f.Severity, Message: f.Subject + ": " + f.Message, Hint: f.Fix}
}

// MarshalJSON writes the promised fields (docs/cli.md).
func (f Finding) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code     string            `json:"code"`
		Severity finding.Severity  `json:"severity"`
		Subject  string            `json:"subject"`
		Message  string            `json:"message"`
		Evidence map[string]string `json:"evidence"`
		Cause    string            `json:"cause"`
		Fix      string            `json:"fix"`
		Gain     string            `json:"gain"`
		Source   string            `json:"source"`
		Proof    string            `json:"proof"`
	}{f.Kind.Code, f.Severity, f.Subject, f.Message, f.Evidence, f.Cause, f.Fix, f.Gain, f.Source, f.Proof})
}

// Run applies the rules. The findings are sorted: the gravest first, then in the
// order of the tree, equal codes side by side.
func Run(in Input) []Finding {
	if in.Earlier != nil {
		in.Hardware = since(*in.Earlier, in.Hardware)
	}
	s := subject{in: &in, system: systemOf(in.Hardware), kernel: releaseOf(in.Hardware)}
	var out []Finding
	walk(tree, s, &out)
	first := map[*finding.Kind]int{}
	for i, f := range out {
		if _, ok := first[f.Kind]; !ok {
			first[f.Kind] = i
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(first[a.Kind], first[b.Kind]))
	})
	return out
}

// subject is what a rule looks at; the pointers are set as far as the tree has come.
type subject struct {
	in     *Input
	system system
	kernel release

	controller *mesh.Controller
	port       *mesh.USB4Port
	link       *mesh.USB4Link
}

func (s subject) host() *mesh.HostFacts { return &s.in.Hardware.Host }

// name is how the subject is called in findings.
func (s subject) name() string {
	switch {
	case s.link != nil && s.link.Interface != "":
		return s.link.Interface
	case s.link != nil:
		return s.link.XDomain
	case s.controller != nil:
		return s.controller.PCI
	}
	return cmp.Or(s.in.Hardware.Node, "this machine")
}

// rule is one node of the tree.
type rule struct {
	code     string
	severity finding.Severity
	title    string // of the finding's kind
	explain  string // for somebody who has never seen the code

	cause, fix, gain, source, proof string // unless look says otherwise

	// look returns what is wrong with the subject, nothing if nothing is. A rule
	// without look only leads on.
	look  func(subject) []hit
	each  func(subject) []subject // the subjects of the rules below; nil: the same
	below []*rule

	kind *finding.Kind
}

// hit is a problem that a rule found. Empty fields are taken from the rule.
type hit struct {
	rule     *rule // another one than the rule that looked
	severity finding.Severity
	lower    bool // take severity, also where it is 0 (info)
	message  string
	evidence map[string]string
	cause    string
	fix      string
	gain     string
}

func walk(rules []*rule, s subject, out *[]Finding) {
	for _, r := range rules {
		var hits []hit
		if r.look != nil {
			hits = r.look(s)
		}
		for _, h := range hits {
			*out = append(*out, r.finding(s, h))
		}
		if len(hits) > 0 {
			continue
		}
		next := []subject{s}
		if r.each != nil {
			next = r.each(s)
		}
		for _, n := range next {
			walk(r.below, n, out)
		}
	}
}

func (r *rule) finding(s subject, h hit) Finding {
	if h.rule != nil {
		r = h.rule
	}
	f := Finding{
		Kind: r.kind, Severity: r.severity, Subject: s.name(), Message: h.message, Evidence: h.evidence,
		Cause: cmp.Or(h.cause, r.cause), Fix: cmp.Or(h.fix, r.fix), Gain: cmp.Or(h.gain, r.gain), Source: r.source, Proof: r.proof,
	}
	if h.lower {
		f.Severity = h.severity
	}
	return f
}

// register declares the kinds of a tree of rules. How a rule was derived is part of
// what docs/findings.md tells.
func register(rules []*rule) []*rule {
	for _, r := range rules {
		if r.code != "" {
			explain := r.explain + " How it is derived: " + r.source + "."
			if r.proof != "" {
				explain += " What proves it: " + r.proof + "."
			}
			r.kind = finding.Register(finding.Kind{Code: r.code, Severity: r.severity, Title: r.title, Explain: explain})
		}
		register(r.below)
	}
	return rules
}
