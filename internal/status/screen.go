package status

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Look says how a screen is drawn.
type Look struct {
	Width  int       // columns; 0 for 80, at least 40
	Colour bool      // ANSI colours; the words carry the meaning without them
	Now    time.Time // on the clock of the agent; zero for when the status was written
}

// Screen returns the status as text for a person: lines that fit the width, each
// ended. Names that others chose are shown without control characters.
func Screen(s mesh.Status, look Look) string {
	w := &screen{s: s, width: max(40, look.Width), colour: look.Colour, now: look.Now}
	if look.Width == 0 {
		w.width = 80
	}
	if w.now.IsZero() {
		w.now = s.Now
	}
	w.head()
	w.links()
	w.nodes()
	w.cables()
	w.healing()
	w.findings()
	w.reboot()
	return w.b.String()
}

type screen struct {
	s      mesh.Status
	width  int
	colour bool
	now    time.Time
	b      strings.Builder
}

// ANSI colours.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

var stateColours = map[mesh.AgentState]string{
	mesh.StateStarting: cyan, mesh.StateConverged: green, mesh.StateDegraded: yellow, mesh.StateFailed: red,
}

func (w *screen) paint(colour, text string) string {
	if !w.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (w *screen) head() {
	s := &w.s
	title := clean(fmt.Sprintf("Mesh %s, node %s", or(s.Mesh, "unknown"), or(s.Node, "unknown")))
	version := clean("usb4mesh " + or(s.Version, "(unknown)"))
	gap := w.width - utf8.RuneCountInString(title) - utf8.RuneCountInString(version)
	if gap < 2 {
		title, version, gap = cut(title, w.width), "", 0
	}
	w.b.WriteString(strings.TrimRight(w.paint(bold, title)+strings.Repeat(" ", gap)+w.paint(dim, version), " ") + "\n")

	state := string(s.State)
	since := ""
	if t := s.StateSince; !t.IsZero() {
		since = " for " + w.ago(t)
	}
	text := state + since
	if s.Why != "" {
		text += ": " + clean(s.Why)
	}
	lines := wrap(text, w.width)
	lines[0] = w.paint(bold+";"+stateColours[s.State], state) + strings.TrimPrefix(lines[0], state)
	w.lines(lines)

	if s.Turn > 0 {
		t := s.LastTurn
		cause := ""
		if t.Cause != "" {
			cause = " (" + clean(t.Cause) + ")"
		}
		w.lines(wrap(fmt.Sprintf("agent up %s; last turn %s ago%s, %s, %s; plan %s", w.ago(s.Since), w.ago(t.Started), cause,
			millis(t.Millis), count(t.Changes, "change"), or(cut(clean(s.PlanDigest), 12), "none")), w.width))
		if t.Error != "" {
			w.marked(red, "error:", "of the last turn: "+clean(t.Error))
		}
	}
	if s.KernelBusy {
		text := "the network lock is held"
		if !s.BusySince.IsZero() {
			text += " for " + w.ago(s.BusySince)
		}
		w.marked(yellow, "kernel busy:", text+"; routes wait for it, traffic of dead links is steered past it")
	}
}

func (w *screen) links() {
	if len(w.s.Links) == 0 {
		return
	}
	t := w.table("Links", "port", "interface", "peer", "cable", "Gbit/s", "liveness", "link", "for")
	var notes []string
	for i := range w.s.Links {
		l := &w.s.Links[i]
		word, colour := linkWord(l)
		t.row(cell{text: l.Port}, cell{text: l.Interface}, cell{text: l.Peer}, cell{text: l.Cable},
			trained(l), livenessCell(&l.Liveness), cell{word, colour}, cell{text: w.ago(l.Since)})
		if why := linkNote(l); why != "" && why != word {
			notes = append(notes, l.Interface+": "+why)
		}
	}
	t.write()
	for _, n := range notes {
		w.lines(indent(wrap(clean(n), w.width-4), "  ", "    "))
	}
}

// linkWord says in two words what became of a link, the nearest cause first.
func linkWord(l *mesh.LinkStatus) (word, colour string) {
	switch {
	case l.Stranger != "":
		return "stranger", red
	case l.Usable && l.Liveness.Verdict == "dead":
		return "last resort", yellow // the last link of a node is not dropped on BFD's word alone
	case l.Usable:
		return "in use", green
	case !l.Plugged:
		return "unplugged", red
	case l.Kernel == "":
		return "no interface", red
	case !l.Carrier:
		return "no carrier", red
	case l.Liveness.Verdict == "dead":
		return "dead", red
	}
	return "not used", red
}

// linkNote says what the word leaves open.
func linkNote(l *mesh.LinkStatus) string {
	switch {
	case l.Stranger != "" && l.Why != "":
		return l.Stranger + " is plugged there: " + l.Why
	case l.Stranger != "":
		return l.Stranger + " is plugged there"
	}
	return l.Why
}

// trained shows the speed, and the planned one where it is not reached.
func trained(l *mesh.LinkStatus) cell {
	switch {
	case l.Gbps == 0:
		return cell{text: "-"}
	case l.Gbps < l.PlannedGbps:
		return cell{fmt.Sprintf("%d of %d", l.Gbps, l.PlannedGbps), yellow}
	}
	return cell{text: fmt.Sprint(l.Gbps)}
}

// livenessCell shows the verdict, and after how long a silence it falls.
func livenessCell(b *mesh.LivenessStatus) cell {
	within := ""
	if b.DetectionMillis > 0 {
		within = ", " + millis(b.DetectionMillis)
	}
	switch {
	case b.State == "":
		return cell{text: "-"}
	case b.Verdict == "alive":
		return cell{"alive" + within, green}
	case b.Verdict == "dead":
		return cell{"dead" + within, red}
	case b.Verdict == "absent":
		return cell{"no agent", yellow}
	case b.State == "admin-down":
		return cell{text: "paused"}
	}
	return cell{text: "waiting"}
}

// nodes shows who is there and the way to each.
func (w *screen) nodes() {
	routes := map[string]*mesh.RouteStatus{}
	for i := range w.s.Routes {
		routes[w.s.Routes[i].Node] = &w.s.Routes[i]
	}
	if len(routes) == 0 && len(w.s.Members) < 2 {
		return
	}
	t := w.table("Nodes", "node", "address", "agent", "way", "hops", "planned", "for")
	for _, m := range w.s.Members {
		if m.Node == w.s.Node {
			continue
		}
		agent := cell{"alive", green}
		switch {
		case m.Address == "" && !m.Alive:
			agent = cell{"never heard", yellow}
		case !m.Alive:
			agent = cell{"silent", yellow}
		case m.PlanDigest != "" && m.PlanDigest != w.s.PlanDigest:
			agent = cell{"other plan", yellow}
		}
		w.nodeRow(t, m.Node, m.Address, agent, routes[m.Node])
		delete(routes, m.Node)
	}
	for _, r := range w.s.Routes { // of nodes that are no members; there should be none
		if routes[r.Node] != nil {
			w.nodeRow(t, r.Node, r.Destination, cell{text: "-"}, &r)
		}
	}
	t.write()
}

func (w *screen) nodeRow(t *table, node, address string, agent cell, r *mesh.RouteStatus) {
	if r == nil {
		t.row(cell{text: node}, cell{text: or(address, "-")}, agent, cell{text: "-"}, cell{text: "-"}, cell{text: "-"}, cell{text: "-"})
		return
	}
	way, hops, planned := cell{text: r.InUse}, fmt.Sprint(r.Hops), cell{text: "as planned"}
	switch {
	case r.InUse == "" || r.Hops == 0:
		way, hops, planned = cell{"none", red}, "-", cell{r.Planned, red}
	case r.Detour:
		planned = cell{fmt.Sprintf("%s, %s", r.Planned, count(r.PlannedHops, "hop")), yellow}
	}
	t.row(cell{text: node}, cell{text: or(r.Destination, or(address, "-"))}, agent, way, cell{text: hops}, planned, cell{text: w.ago(r.Since)})
}

// cables shows cables elsewhere that are out; those of this node are links.
func (w *screen) cables() {
	own := map[string]bool{}
	for _, l := range w.s.Links {
		own[l.Cable] = true
	}
	t := w.table("Cables elsewhere that are out", "cable", "between", "", "because")
	for _, c := range w.s.Cables {
		if !c.Usable && !own[c.Cable] {
			t.row(cell{text: c.Cable}, cell{text: c.Ends[0]}, cell{text: c.Ends[1]}, cell{or(c.Why, "not known"), red})
		}
	}
	t.write()
}

// maxSteps of healing are shown, the latest.
const maxSteps = 5

func (w *screen) healing() {
	steps := w.s.Healing
	steps = steps[max(0, len(steps)-maxSteps):]
	if len(steps) == 0 {
		return
	}
	w.b.WriteString("\n" + w.paint(bold, "Healing") + "\n")
	for _, h := range steps {
		result, colour, detail := "no effect yet", yellow, ""
		switch {
		case h.Error != "":
			result, colour, detail = "failed", red, " ("+h.Error+")"
		case h.Healed:
			result, colour = "healed", green
		case h.Step == "replug":
			result = "waits for your hands"
		}
		text := fmt.Sprintf("%s: %s, %s ago: %s%s; because %s", h.Link, h.Step, w.ago(h.Time), result, detail, h.Reason)
		lines := indent(wrap(clean(text), w.width-4), "  ", "    ")
		lines[0] = strings.Replace(lines[0], result, w.paint(colour, result), 1)
		w.lines(lines)
	}
}

var severityColours = map[finding.Severity]string{finding.Info: cyan, finding.Warning: yellow, finding.Error: red}

// findings shows what is wrong in full, and what is merely worth knowing by its codes:
// a screen has little room, and --json has all of it.
func (w *screen) findings() {
	if len(w.s.Findings) == 0 {
		return
	}
	w.b.WriteString("\n" + w.paint(bold, "Findings") + "\n")
	var codes []string
	notes := map[string]int{}
	for _, f := range w.s.Findings {
		if f.Severity == finding.Info {
			if notes[f.Code]++; notes[f.Code] == 1 {
				codes = append(codes, f.Code)
			}
			continue
		}
		word := f.Severity.String() + ":"
		text := fmt.Sprintf("%s %s [%s]", word, clean(f.Message), clean(f.Code))
		if !f.Since.IsZero() {
			text += ", for " + w.ago(f.Since)
		}
		w.finding(word, text, f.Severity)
		if f.Hint != "" {
			w.lines(indent(wrap("hint: "+clean(f.Hint), w.width-6), "    ", "      "))
		}
	}
	if len(codes) == 0 {
		return
	}
	for i, code := range codes {
		if n := notes[code]; n > 1 {
			codes[i] = fmt.Sprintf("%s (%d times)", code, n)
		}
	}
	w.finding("info:", clean("info: worth knowing: "+strings.Join(codes, ", ")+"; --json has the words"), finding.Info)
}

// finding writes a text that begins with a word in the colour of its severity.
func (w *screen) finding(word, text string, severity finding.Severity) {
	lines := indent(wrap(text, w.width-4), "  ", "    ")
	lines[0] = strings.Replace(lines[0], word, w.paint(bold+";"+severityColours[severity], word), 1)
	w.lines(lines)
}

func (w *screen) reboot() {
	r := w.s.Reboot
	if r.Reason == "" && !r.OK {
		return // nobody has looked yet
	}
	w.b.WriteString("\n")
	word, colour := "Reboot:", green
	text := "this node may"
	if !r.OK {
		text, colour = "not now", yellow
	}
	if r.Reason != "" {
		text += "; " + clean(r.Reason)
	}
	if r.HeldUntil.After(w.s.Now) {
		text += "; the other nodes count it as gone for " + r.HeldUntil.Sub(w.s.Now).Round(time.Second).String()
	}
	w.marked(colour, word, text)
}

// marked writes a word in colour and what it says.
func (w *screen) marked(colour, word, text string) {
	lines := indent(wrap(word+" "+text, w.width-2), "", "  ")
	lines[0] = w.paint(bold+";"+colour, word) + strings.TrimPrefix(lines[0], word)
	w.lines(lines)
}

func (w *screen) lines(lines []string) {
	for _, l := range lines {
		w.b.WriteString(l + "\n")
	}
}
