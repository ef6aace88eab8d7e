// Package restore limits how often the agent puts back what somebody else takes
// away. Two managers that undo each other's work at full speed would take a
// processor each and make the network worse than either alone.
package restore

import (
	"slices"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Some programs take an interface down in several steps, and what was restored between
// two of them is taken again: the first pauses are short, so that one such work does not
// cost the mesh seconds.
const (
	free    = 3               // restored at once
	first   = time.Second / 8 // then after a pause, doubled each time
	longest = time.Minute     //
	forget  = 5 * time.Minute // without being taken away
)

// Limiter remembers what was taken away. The zero value is ready.
type Limiter struct {
	last    mesh.State // as of the end of the last turn
	objects map[string]*object
}

type object struct {
	what string
	Pace
}

// Pace says when something is put back that somebody takes away again and again. The
// zero value is for what was never taken.
type Pace struct {
	count int
	taken time.Time // the last time
	due   time.Time // to be restored
}

// Taken notes that it was taken away, and returns when to put it back.
func (p *Pace) Taken(now time.Time) time.Time {
	if p.forgotten(now) {
		*p = Pace{}
	}
	p.count++
	p.taken, p.due = now, now
	if p.count > free {
		p.due = now.Add(min(first<<min(p.count-free-1, 10), longest))
	}
	return p.due
}

// Often returns how many times it was taken away, 0 if that is not often.
func (p *Pace) Often(now time.Time) int {
	if p.count <= free || p.forgotten(now) {
		return 0
	}
	return p.count
}

func (p *Pace) forgotten(now time.Time) bool { return now.Sub(p.taken) > forget && now.After(p.due) }

// Taken is an object that somebody takes away again and again.
type Taken struct {
	Object string
	Count  int
	Due    time.Time // when it will be put back
}

// Stands tells the limiter what the kernel holds after a turn.
func (l *Limiter) Stands(s mesh.State) { l.last = s }

// Forget makes the limiter expect nothing of an interface, whose objects the agent
// itself is about to lose.
func (l *Limiter) Forget(name string) {
	l.last.Links = slices.DeleteFunc(slices.Clone(l.last.Links), func(k mesh.Link) bool { return k.Name == name })
}

// Filter returns the changes to carry out now. The others put something back that
// was taken away too often; wake is when the first of them is due.
func (l *Limiter) Filter(now time.Time, have mesh.State, changes []mesh.Change) (todo []mesh.Change, wake time.Time) {
	if l.objects == nil {
		l.objects = map[string]*object{}
	}
	for key, o := range l.objects {
		if o.forgotten(now) {
			delete(l.objects, key)
		}
	}
	for _, c := range changes {
		if !l.stood(c, have) {
			if o := l.objects[c.String()]; o != nil && now.Before(o.due) {
				wake = earlier(wake, o.due) // still held from an earlier turn
				continue
			}
			todo = append(todo, c)
			continue
		}
		o := l.objects[c.String()]
		if o == nil {
			o = &object{what: c.String()}
			l.objects[c.String()] = o
		}
		if due := o.Taken(now); due.After(now) {
			wake = earlier(wake, due)
			continue
		}
		todo = append(todo, c)
	}
	return todo, wake
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// Often returns what was taken away more than a few times.
func (l *Limiter) Often() []Taken {
	var out []Taken
	for _, o := range l.objects {
		if o.count > free {
			out = append(out, Taken{o.what, o.count, o.due})
		}
	}
	slices.SortFunc(out, func(a, b Taken) int {
		if a.Object < b.Object {
			return -1
		}
		return 1
	})
	return out
}

// stood reports whether what a change brings about was there after the last turn,
// and its interface has not gone since, so that somebody must have taken it away.
func (l *Limiter) stood(c mesh.Change, have mesh.State) bool {
	switch {
	case c.Op == mesh.Remove:
		return false
	case c.Address != nil:
		return l.stays(c.Address.Interface, have) && slices.Contains(l.last.Addresses, *c.Address)
	case c.Route != nil:
		return l.stays(c.Route.Interface, have) && slices.Contains(l.last.Routes, *c.Route)
	case c.Rule != nil:
		return slices.Contains(l.last.Rules, *c.Rule)
	case c.Sysctl != nil:
		name := c.Sysctl.Interface()
		return (name == "" || l.stays(name, have)) && slices.Contains(l.last.Sysctls, *c.Sysctl)
	case c.Link != nil:
		was, ok := link(l.last, c.Link.Name)
		is, now := link(have, c.Link.Name)
		return ok && now && was.Index == is.Index && was.Alias == c.Link.Alias && was.MTU == c.Link.MTU && was.Up == c.Link.Up
	}
	return false
}

// stays reports whether an interface is the one of the last turn and was up all along.
func (l *Limiter) stays(name string, have mesh.State) bool {
	was, ok := link(l.last, name)
	is, now := link(have, name)
	return ok && now && was.Index == is.Index && was.Up && is.Up
}

func link(s mesh.State, name string) (mesh.Link, bool) {
	i := slices.IndexFunc(s.Links, func(l mesh.Link) bool { return l.Name == name })
	if i < 0 {
		return mesh.Link{}, false
	}
	return s.Links[i], true
}
