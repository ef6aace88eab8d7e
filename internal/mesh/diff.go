package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Diff returns the changes that lead from have to want, in an order in which
// they can be applied one after the other: what is added comes before what
// needs it, what is removed after what needed it, and new ways stand before old
// ones go. Equal input gives equal output; Diff(x, x) is empty.
//
// Only what is ours is changed or removed:
//   - routes whose Protocol is RouteProtocol,
//   - rules with a priority from RulePriorityFirst to RulePriorityLast,
//   - interfaces whose alias starts with AliasPrefix, and wanted ones that bear
//     no alias yet (their name says that they were meant for us),
//   - on such interfaces, addresses that are host prefixes and not link-local.
//
// Sysctls are set, never removed. A wanted object whose place is taken by a
// foreign one is returned as an Add all the same, so that the kernel's refusal
// (EEXIST) tells the user, instead of silence or of a foreign object lost.
//
// Ports come and go with their cables, so a Link of KindPort is never added or
// removed; addresses, sysctls and rules are left out while their interface is
// absent, routes also while it is down and not about to be set up. A rule that
// already stands stays when its interface goes: the kernel binds it again by
// name (net/core/fib_rules.c, attach_rules).
func Diff(have, want State) []Change {
	d := newDiffer(have, want)
	d.links()
	d.sysctls()
	d.addresses()
	d.routes()
	d.rules()
	return slices.Concat(d.before, d.add, d.remove, d.release)
}

// differ gathers changes in four runs, which are applied in this order.
type differ struct {
	have, want State

	before  []Change // removals that make room
	add     []Change // additions and settings
	remove  []Change // removals of rules, routes, addresses, each kind before the next
	release []Change // removals and settings of links nobody wants

	after map[string]Link // links that stand after the changes: Name, Up
	ours  map[string]bool // links whose host addresses are ours
	gone  map[string]bool // links of have that are removed to make room
}

func newDiffer(have, want State) *differ {
	return &differ{
		have: have, want: want,
		after: map[string]Link{}, ours: map[string]bool{}, gone: map[string]bool{},
	}
}

// owned reports whether a link bears our alias.
func owned(l Link) bool { return strings.HasPrefix(l.Alias, AliasPrefix) }

func (d *differ) links() {
	have := make(map[string]Link, len(d.have.Links))
	for _, l := range d.have.Links {
		have[l.Name], d.after[l.Name] = l, l
		if owned(l) {
			d.ours[l.Name] = true
		}
	}
	wanted := map[string]bool{}
	for _, w := range d.want.Links {
		if wanted[w.Name] {
			continue
		}
		wanted[w.Name] = true
		h, present := have[w.Name]
		d.link(w, h, present)
	}
	for _, h := range d.have.Links {
		if wanted[h.Name] || !owned(h) {
			continue
		}
		if h.Kind == KindPort {
			free := Link{Name: h.Name, MTU: h.MTU, Up: h.Up}
			d.release = append(d.release, Change{Op: Set, Link: &free, Reason: "the interface is not in the plan"})
			continue
		}
		delete(d.after, h.Name)
		d.release = append(d.release, Change{Op: Remove, Link: &h, Reason: "the interface is not in the plan"})
	}
}

// link brings one wanted link about; h is the link of that name, if present.
func (d *differ) link(w, h Link, present bool) {
	set := func(op Op, reason string) {
		d.add = append(d.add, Change{Op: op, Link: &w, Reason: reason})
	}
	switch {
	case !present && w.Kind == KindPort: // no cable
	case !present:
		set(Add, "the plan wants this interface")
		d.after[w.Name], d.ours[w.Name] = w, owned(w)
	case h.Alias != "" && h.Alias != w.Alias && !owned(h):
		set(Add, "the name is taken by an interface with the alias \""+h.Alias+"\", which is not ours")
		delete(d.after, w.Name)
	case w.Kind != KindPort && w.Kind != h.Kind && !owned(h):
		set(Add, "the name is taken by an interface of another kind, which is not ours")
		delete(d.after, w.Name)
	case w.Kind != KindPort && w.Kind != h.Kind:
		d.before = append(d.before, Change{Op: Remove, Link: &h, Reason: "it is a " + kindName(h.Kind) + ", the plan wants a " + kindName(w.Kind)})
		d.gone[w.Name] = true
		set(Add, "the plan wants this interface")
		d.after[w.Name], d.ours[w.Name] = w, owned(w)
	default:
		d.after[w.Name], d.ours[w.Name] = w, owned(w)
		if reason := linkReason(h, w); reason != "" {
			set(Set, reason)
		}
	}
}

func kindName(k LinkKind) string {
	if k == KindPort {
		return "port"
	}
	return string(k)
}

// linkReason says how the settings of h differ from those of w; "" if not.
func linkReason(h, w Link) string {
	var why []string
	if h.Alias != w.Alias {
		why = append(why, "alias")
	}
	if h.MTU != w.MTU {
		why = append(why, "mtu")
	}
	if h.Up != w.Up {
		why = append(why, "administrative state")
	}
	if why == nil {
		return ""
	}
	return strings.Join(why, ", ") + " differs from the plan"
}

// Interface returns the interface that the setting belongs to, or "" for a
// global one (also for the pseudo interfaces all and default).
func (s Sysctl) Interface() string {
	p := strings.Split(s.Path, "/") // net/ipv4/conf/NAME/key
	if len(p) != 5 || p[0] != "net" || (p[2] != "conf" && p[2] != "neigh") || p[3] == "all" || p[3] == "default" {
		return ""
	}
	return p[3]
}

// sysctls sets global values first: forwarding of "all" overwrites that of every
// interface (net/ipv4/devinet.c, inet_forward_change).
func (d *differ) sysctls() {
	have := map[string]string{}
	for _, s := range d.have.Sysctls {
		if !d.gone[s.Interface()] {
			have[s.Path] = s.Value
		}
	}
	last := map[string]string{} // a path listed twice: the later value counts
	for _, s := range d.want.Sysctls {
		last[s.Path] = s.Value
	}
	for _, global := range []bool{true, false} {
		for _, s := range d.want.Sysctls {
			name := s.Interface()
			value, pending := last[s.Path]
			if (name == "") != global || !pending {
				continue
			}
			delete(last, s.Path)
			if _, present := d.after[name]; name != "" && !present {
				continue
			}
			was, known := have[s.Path]
			if known && was == value {
				continue
			}
			reason := "it is not set"
			if known {
				reason = "it is " + was
			}
			d.add = append(d.add, Change{Op: Set, Sysctl: &Sysctl{s.Path, value}, Reason: reason})
		}
	}
}

func (d *differ) addresses() {
	have := map[Address]bool{}
	for _, a := range d.have.Addresses {
		if !d.gone[a.Interface] {
			have[a] = true
		}
	}
	wanted := map[Address]bool{}
	type place struct {
		dev  string
		addr netip.Addr
	}
	replaced := map[place]bool{} // IPv6 knows an address by itself, whatever its peer
	var add []Change
	for _, a := range d.want.Addresses {
		l, present := d.after[a.Interface]
		switch {
		case wanted[a]:
			continue
		case have[a]:
			wanted[a] = true
			continue
		case !present, a.Local.Addr().Is6() && !l.Up: // IPv6 drops addresses of a link that is down
			continue
		}
		wanted[a] = true
		add = append(add, Change{Op: Add, Address: &a, Reason: "the plan wants this address"})
		if a.Local.Addr().Is6() {
			replaced[place{a.Interface, a.Local.Addr()}] = true
		}
	}
	var remove []Change
	for _, a := range d.have.Addresses {
		host := a.Local.IsSingleIP() && !a.Local.Addr().IsLinkLocalUnicast()
		if !have[a] || wanted[a] || !host || !d.ours[a.Interface] {
			continue
		}
		c := Change{Op: Remove, Address: &a, Reason: "the address is not in the plan"}
		if _, stays := d.after[a.Interface]; !stays {
			continue // goes with its link
		}
		if replaced[place{a.Interface, a.Local.Addr()}] {
			d.add = append(d.add, c)
		} else {
			remove = append(remove, c)
		}
	}
	d.add = append(d.add, add...)
	d.remove = append(d.remove, remove...)
}

// routeKey is what the kernel knows a route by: two routes with equal keys can't
// be added with NLM_F_EXCL.
type routeKey struct {
	destination netip.Prefix
	table       Table
	metric      int
}

func keyOf(r Route) routeKey {
	return routeKey{r.Destination.Masked(), r.Table, r.Metric}
}

func (d *differ) routes() {
	have := map[Route]bool{}
	mine := map[routeKey][]Route{}
	foreign := map[routeKey]bool{}
	for _, r := range d.have.Routes {
		r.Destination = r.Destination.Masked()
		switch {
		case d.gone[r.Interface] || have[r]:
			continue
		case r.Protocol == RouteProtocol:
			mine[keyOf(r)] = append(mine[keyOf(r)], r)
		default:
			foreign[keyOf(r)] = true
		}
		have[r] = true
	}
	var missing []Route
	kept := map[Route]bool{}
	wants := map[routeKey]int{}
	for _, r := range d.want.Routes {
		r.Destination = r.Destination.Masked()
		if kept[r] {
			continue
		}
		if l, present := d.after[r.Interface]; !have[r] && (!present || !l.Up) {
			continue
		}
		kept[r] = true
		wants[keyOf(r)]++
		if !have[r] {
			missing = append(missing, r)
		}
	}
	slices.SortStableFunc(missing, routeOrder)

	done := map[Route]bool{}
	for _, r := range missing {
		var old []Route
		for _, o := range mine[keyOf(r)] {
			if !kept[o] && !done[o] {
				old = append(old, o)
				done[o] = true
			}
		}
		// Only a lone route can be replaced in one step: the kernel's replace
		// takes the first of that key, whosever it is (net/ipv4/fib_trie.c,
		// fib_table_insert; net/ipv6/ip6_fib.c, fib6_add_rt2node).
		if len(mine[keyOf(r)]) == 1 && len(old) == 1 && wants[keyOf(r)] == 1 && !foreign[keyOf(r)] {
			d.add = append(d.add, Change{Op: Set, Route: &r, Reason: "it replaces " + old[0].String()})
			continue
		}
		for _, o := range old {
			d.add = append(d.add, Change{Op: Remove, Route: &o, Reason: "it makes room for " + r.String()})
		}
		d.add = append(d.add, Change{Op: Add, Route: &r, Reason: "the plan wants this route"})
	}
	for _, r := range d.have.Routes {
		r.Destination = r.Destination.Masked()
		if r.Protocol == RouteProtocol && have[r] && !kept[r] && !done[r] {
			done[r] = true
			d.remove = append(d.remove, Change{Op: Remove, Route: &r, Reason: "the route is not in the plan"})
		}
	}
}

// routeOrder puts direct routes before those that use them as gateways: the
// kernel refuses an IPv6 gateway to which another route leads elsewhere
// (net/ipv6/route.c, ip6_route_check_nh_onlink). Detours follow what they stand
// in for.
func routeOrder(a, b Route) int {
	direct := func(r Route) int {
		if r.Via.IsValid() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(direct(a), direct(b)), cmp.Compare(a.Metric, b.Metric))
}

func ruleOurs(r Rule) bool {
	return r.Priority >= RulePriorityFirst && r.Priority <= RulePriorityLast
}

func (d *differ) rules() {
	have := map[Rule]bool{}
	for _, r := range d.have.Rules {
		have[r] = true
	}
	wanted := map[Rule]bool{}
	for _, r := range d.want.Rules {
		if wanted[r] {
			continue
		}
		wanted[r] = true
		if _, present := d.after[r.Incoming]; !have[r] && (present || r.Incoming == "") {
			d.add = append(d.add, Change{Op: Add, Rule: &r, Reason: "the plan wants this rule"})
		}
	}
	var remove []Change
	for _, r := range d.have.Rules {
		if have[r] && !wanted[r] && ruleOurs(r) {
			delete(have, r)
			remove = append(remove, Change{Op: Remove, Rule: &r, Reason: "the rule is not in the plan"})
		}
	}
	d.remove = removalOrder(append(remove, d.remove...))
}

// removalOrder sorts removals so that a table's rules go before its routes, and
// routes before the addresses that are their source.
func removalOrder(cs []Change) []Change {
	rank := func(c Change) int {
		switch {
		case c.Rule != nil:
			return 0
		case c.Route != nil:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(cs, func(a, b Change) int { return cmp.Compare(rank(a), rank(b)) })
	return cs
}
