package mesh

import (
	"slices"
	"strconv"
	"strings"
)

// Memory is what a kernel held before usb4mesh changed it, as far as usb4mesh
// changes it, so that Undo can give it back. Interfaces are known by their index:
// one that is plugged anew is another one, and had nothing to remember.
//
// Objects that bear our mark need no memory to be found. What needs one are
// settings, which have a value before and after, and names.
type Memory struct {
	Begun   bool          // Routes and Rules are known
	Routes  []Route       // with our mark, before the first start: of rendered files, for example
	Rules   []Rule        // likewise
	Links   []LinkMemory  // interfaces that were configured, in the order in which they were
	Sysctls []ValueMemory // in the order in which they were set
}

// LinkMemory is an interface as it was found.
type LinkMemory struct {
	Link      Link
	Addresses []Address // host prefixes, which Diff takes away where the plan has them not
	Added     []Address // those that were added
}

// ValueMemory is a setting as it was found; Index is the interface that it belongs
// to, 0 for none.
type ValueMemory struct {
	Index int
	Sysctl
}

// Remember notes what changes are about to overwrite, and reports whether that is
// anything new. It must be called, and what it noted be kept where a sudden death
// does not reach it, before the changes are carried out; have is the state that
// they were computed from.
func (m *Memory) Remember(have State, changes []Change) bool {
	fresh := m.forget(have)
	if !m.Begun {
		m.begin(have)
		fresh = true
	}
	byName, byIndex := map[string]Link{}, map[int]Link{}
	for _, l := range have.Links {
		byName[l.Name], byIndex[l.Index] = l, l
	}
	for _, c := range changes {
		switch {
		case c.Link != nil && c.Op == Rename:
			l, present := byIndex[c.Link.Index]
			fresh = present && m.link(have, l) || fresh
			if present { // later changes call it so
				delete(byName, l.Name)
				l.Name = c.Link.Name
				byName[l.Name], byIndex[l.Index] = l, l
			}
		case c.Link != nil:
			l, present := byName[c.Link.Name]
			fresh = present && c.Op != Remove && m.link(have, l) || fresh
		case c.Address != nil:
			l, present := byName[c.Address.Interface]
			if !present {
				continue // goes with the interface that is made for it
			}
			fresh = m.link(have, l) || fresh
			if c.Op == Add {
				fresh = m.added(l, *c.Address) || fresh
			}
		case c.Sysctl != nil:
			fresh = m.sysctl(have, byName, *c.Sysctl) || fresh
		}
	}
	return fresh
}

// forget drops what is gone: the kernel gives no index twice, and a cable that is
// plugged a thousand times would fill the memory.
func (m *Memory) forget(have State) bool {
	there := map[int]bool{0: true}
	for _, l := range have.Links {
		there[l.Index] = true
	}
	was := len(m.Links) + len(m.Sysctls)
	m.Links = slices.DeleteFunc(m.Links, func(l LinkMemory) bool { return !there[l.Link.Index] })
	m.Sysctls = slices.DeleteFunc(m.Sysctls, func(v ValueMemory) bool { return !there[v.Index] })
	return len(m.Links)+len(m.Sysctls) < was
}

// begin notes what bears our mark although we have made nothing yet.
func (m *Memory) begin(have State) {
	m.Begun = true
	for _, r := range have.Routes {
		if r.Protocol == RouteProtocol {
			m.Routes = append(m.Routes, r)
		}
	}
	for _, r := range have.Rules {
		if ruleOurs(r) {
			m.Rules = append(m.Rules, r)
		}
	}
}

// link notes an interface. One that bears our alias is one that a lost memory knew:
// what else it holds is ours, too.
func (m *Memory) link(have State, l Link) bool {
	if m.of(l.Index) != nil || l.Kind != KindPort && owned(l) {
		return false
	}
	found := LinkMemory{Link: l}
	if owned(l) {
		found.Link.Alias = ""
	} else {
		for _, a := range have.Addresses {
			if a.Interface == l.Name && removable(a) {
				found.Addresses = append(found.Addresses, a)
			}
		}
	}
	m.Links = append(m.Links, found)
	return true
}

func (m *Memory) of(index int) *LinkMemory {
	for i := range m.Links {
		if m.Links[i].Link.Index == index {
			return &m.Links[i]
		}
	}
	return nil
}

func (m *Memory) added(l Link, a Address) bool {
	found := m.of(l.Index)
	if found == nil || slices.Contains(called(found.Added, l.Name), a) || slices.Contains(called(found.Addresses, l.Name), a) {
		return false
	}
	found.Added = append(found.Added, a)
	return true
}

// removable reports whether Diff removes an address of one of our interfaces that
// is not wanted.
func removable(a Address) bool {
	return a.Local.IsSingleIP() && !a.Local.Addr().IsLinkLocalUnicast()
}

// forwarding6 is the one setting that sets others: those of all interfaces and of
// the ones to come (net/ipv6/addrconf.c, addrconf_fixup_forwarding).
const forwarding6 = "net/ipv6/conf/all/forwarding"

func (m *Memory) sysctl(have State, links map[string]Link, s Sysctl) bool {
	fresh := false
	for _, h := range have.Sysctls {
		_, key, _ := strings.Cut(h.Path, "net/ipv6/conf/")
		if h.Path != s.Path && (s.Path != forwarding6 || !strings.HasSuffix(key, "/forwarding")) {
			continue
		}
		v := ValueMemory{Sysctl: h}
		if name := h.Interface(); name != "" {
			v.Index = links[name].Index
		}
		if !slices.ContainsFunc(m.Sysctls, v.same) {
			m.Sysctls = append(m.Sysctls, v)
			fresh = true
		}
	}
	return fresh
}

// same reports whether two memories are of the same setting; an interface's are,
// whatever it was called at the time.
func (v ValueMemory) same(o ValueMemory) bool {
	return v.Index == o.Index && v.named("x").Path == o.named("x").Path
}

// named is the setting for an interface of another name.
func (v ValueMemory) named(name string) Sysctl {
	if old := v.Interface(); old != "" {
		v.Path = strings.Replace(v.Path, "/"+old+"/", "/"+name+"/", 1)
	}
	return v.Sysctl
}

// Undo returns the changes that lead back to what stood before: everything with
// our mark goes but what had it before, settings and names are as they were, and
// what usb4mesh did not make or change stays. What is remembered of interfaces
// that are gone is moot.
func (m *Memory) Undo(have State) []Change {
	u := undoer{Memory: m, have: have, now: map[int]Link{}, ours: map[string]bool{}, goes: map[string]bool{}}
	for _, l := range have.Links {
		u.now[l.Index] = l
		u.ours[l.Name] = owned(l)
		u.goes[l.Name] = owned(l) && l.Kind != KindPort && m.of(l.Index) == nil
	}
	u.tables()
	u.addresses()
	u.sysctls()
	u.links()
	return slices.Concat(u.first, removalOrder(u.remove), u.add, u.made, u.values, u.last)
}

type undoer struct {
	*Memory
	have State
	now  map[int]Link
	ours map[string]bool // interfaces that bear our alias
	goes map[string]bool // interfaces that we made

	first, remove, add, made, values, last []Change
}

const (
	madeByUs = "usb4mesh has made it"
	asBefore = "it was so before usb4mesh"
)

func (u *undoer) tables() {
	for _, r := range u.have.Rules {
		if ruleOurs(r) && !slices.Contains(u.Rules, r) {
			u.remove = append(u.remove, Change{Op: Remove, Rule: &r, Reason: madeByUs})
		}
	}
	for _, r := range u.have.Routes {
		if r.Protocol == RouteProtocol && !slices.Contains(u.Routes, r) {
			u.remove = append(u.remove, Change{Op: Remove, Route: &r, Reason: madeByUs})
		}
	}
}

func (u *undoer) addresses() {
	for _, a := range u.have.Addresses {
		if u.goes[a.Interface] {
			continue
		}
		found := u.found(a.Interface)
		was := found != nil && slices.Contains(called(found.Addresses, a.Interface), a)
		added := found != nil && slices.Contains(called(found.Added, a.Interface), a)
		if added || u.ours[a.Interface] && removable(a) && !was {
			u.remove = append(u.remove, Change{Op: Remove, Address: &a, Reason: madeByUs})
		}
	}
	up := map[string]bool{}
	for _, l := range u.have.Links {
		up[l.Name] = l.Up && !u.goes[l.Name]
		found := u.of(l.Index)
		if found == nil {
			continue
		}
		for _, a := range called(found.Addresses, l.Name) {
			// Before ours go: with its last IPv4 address an interface loses all of its
			// IPv4 routes, whosever they are (net/ipv4/fib_frontend.c, fib_inetaddr_event).
			if !slices.Contains(u.have.Addresses, a) {
				u.first = append(u.first, Change{Op: Add, Address: &a, Reason: asBefore})
			}
		}
	}
	for _, r := range u.Routes {
		if !slices.Contains(u.have.Routes, r) && up[r.Interface] {
			u.add = append(u.add, Change{Op: Add, Route: &r, Reason: asBefore})
		}
	}
	for _, r := range u.Rules {
		if !slices.Contains(u.have.Rules, r) {
			u.add = append(u.add, Change{Op: Add, Rule: &r, Reason: asBefore})
		}
	}
}

// found is the memory of an interface by its present name.
func (u *undoer) found(name string) *LinkMemory {
	for _, l := range u.have.Links {
		if l.Name == name {
			return u.of(l.Index)
		}
	}
	return nil
}

// called returns addresses as they stand on their interface under another name.
func called(as []Address, name string) []Address {
	as = slices.Clone(as)
	for i := range as {
		as[i].Interface = name
	}
	return as
}

// sysctls gives global values back first, as they overwrite those of interfaces.
func (u *undoer) sysctls() {
	for _, global := range []bool{true, false} {
		for _, v := range u.Sysctls {
			l, present := u.now[v.Index]
			if (v.Index == 0) != global || v.Index != 0 && !present {
				continue
			}
			s := v.named(l.Name)
			if slices.Contains(u.have.Sysctls, s) && !u.overwritten(s) {
				continue
			}
			u.values = append(u.values, Change{Op: Set, Sysctl: &s, Reason: asBefore})
		}
	}
}

// overwritten reports whether a setting that is right will not be once the values
// that have been listed already are given back.
func (u *undoer) overwritten(s Sysctl) bool {
	return strings.HasPrefix(s.Path, "net/ipv6/conf/") && strings.HasSuffix(s.Path, "/forwarding") &&
		slices.ContainsFunc(u.values, func(c Change) bool { return c.Sysctl.Path == forwarding6 && c.Sysctl.Value != s.Value })
}

// formerName is the name that an interface came with, or one like it: the driver
// gives the lowest free number, and when a port of that name was renamed, the next
// one got it too.
func (u *undoer) formerName(l Link, name string, given map[int]string) string {
	taken := func(name string) bool {
		for _, other := range u.have.Links {
			if found := u.of(other.Index); other.Index != l.Index && (given[other.Index] == name || found == nil && other.Name == name) {
				return true
			}
		}
		return false
	}
	stem := strings.TrimRight(name, "0123456789")
	for n := 0; taken(name); n++ {
		name = stem + strconv.Itoa(n)
	}
	return name
}

func (u *undoer) links() {
	names := map[int]string{}
	for _, l := range u.have.Links {
		found := u.of(l.Index)
		switch {
		case u.goes[l.Name]:
			u.made = append(u.made, Change{Op: Remove, Link: &l, Reason: madeByUs})
		case found != nil:
			names[l.Index] = u.formerName(l, found.Link.Name, names)
			was := Link{Name: l.Name, Kind: l.Kind, Alias: found.Link.Alias, MTU: found.Link.MTU, Up: found.Link.Up}
			if linkReason(l, was) != "" {
				u.last = append(u.last, Change{Op: Set, Link: &was, Reason: asBefore})
			}
		case owned(l): // the memory is lost
			was := Link{Name: l.Name, Kind: l.Kind, MTU: l.MTU, Up: l.Up}
			u.last = append(u.last, Change{Op: Set, Link: &was, Reason: "it has our alias"})
		}
	}
	u.last = append(u.last, Renames(u.have.Links, names)...)
}
