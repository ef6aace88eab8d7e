package gossip

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// store holds the newest advert of every node of the plan.
type store struct {
	self     string
	instance uint64
	members  map[string]bool
	cables   map[string][2]string // nil: not known

	mu      sync.Mutex
	adverts map[string]*advert
	print   uint64 // of all adverts together

	// Own words. heard is the highest number that a former life used, foreign
	// counts how often each other instance has gone above this one.
	wish     advert
	started  bool // something was announced
	heard    uint64
	foreign  map[uint64]*rival
	answered time.Time // to a rival
}

// rival is another process that announces as this node.
type rival struct {
	times int
	last  time.Time
}

const (
	// A former life can go above this one a few times, as its words come in from
	// here and there. What goes on doing so is alive.
	rivalTimes = 3
	rivalAge   = time.Minute
	rivalPause = time.Second // between answers to one, so that two of a name do not fill the network
	maxRivals  = 16
)

// verdict is what take did with an advert.
type verdict int

const (
	old     verdict = iota // known already
	stale                  // older than what is known: the sender should hear of that
	fresh                  // stored
	outbid                 // our own of another life: we have a new one now
	doubled                // the same again and again: another machine is this node; no new one, since there was one just now
	refused                // of no node in the plan
)

func newStore(c *Config, instance uint64) *store {
	s := &store{
		self: c.Node, instance: instance, members: map[string]bool{}, cables: c.Cables,
		adverts: map[string]*advert{}, foreign: map[uint64]*rival{},
	}
	for name := range c.Members {
		s.members[name] = true
	}
	return s
}

// take considers an advert that came from the network. It keeps a, which the
// caller must not change any more. twin reports that another machine announces
// as this node.
func (s *store) take(a *advert) (v verdict, twin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.members[a.Origin] {
		return refused, false
	}
	if a.Origin == s.self {
		return s.takeOwn(a)
	}
	switch have := s.adverts[a.Origin]; {
	case have == nil, a.newer(have):
		s.put(a)
		return fresh, false
	case have.newer(a):
		return stale, false
	}
	return old, false
}

// takeOwn considers words of this node's that it did not say, or said long ago.
func (s *store) takeOwn(a *advert) (v verdict, twin bool) {
	if a.Instance == s.instance {
		return old, false
	}
	s.heard = max(s.heard, a.Seq)
	mine := s.adverts[s.self]
	if !s.started || mine != nil && mine.newer(a) {
		return old, false
	}
	now := time.Now()
	if twin = s.rival(a.Instance, now); twin && now.Sub(s.answered) < rivalPause {
		return doubled, true
	}
	s.answered = now
	s.renew()
	return outbid, twin
}

// rival counts and reports whether instance has gone above us too often.
func (s *store) rival(instance uint64, now time.Time) bool {
	r := s.foreign[instance]
	if r == nil || now.Sub(r.last) > rivalAge {
		if len(s.foreign) >= maxRivals {
			maps.DeleteFunc(s.foreign, func(_ uint64, r *rival) bool { return now.Sub(r.last) > rivalAge })
		}
		if len(s.foreign) >= maxRivals {
			return true
		}
		r = &rival{}
		s.foreign[instance] = r
	}
	r.times++
	r.last = now
	return r.times > rivalTimes
}

// put stores a. The lock is held.
func (s *store) put(a *advert) {
	if have := s.adverts[a.Origin]; have != nil {
		s.print ^= have.print()
	}
	s.adverts[a.Origin] = a
	s.print ^= a.print()
}

// renew says the wish under the next number. The lock is held.
func (s *store) renew() {
	a := s.wish
	a.Origin, a.Instance, a.Seq = s.self, s.instance, s.heard+1
	if mine := s.adverts[s.self]; mine != nil {
		a.Seq = max(a.Seq, mine.Seq+1)
	}
	a.Seq = min(a.Seq, maxSeq)
	s.put(&a)
}

// announce makes links what this node says, and reports whether that is news.
func (s *store) announce(links []LinkState) bool {
	mine := make([]LinkState, 0, len(links))
	for _, l := range links {
		l.Node, l.Seq = "", 0
		if l.Cable, l.Why = clean(l.Cable, MaxName), clean(l.Why, MaxWhy); l.Cable != "" {
			if !slices.Contains(heals[:], l.Heal) {
				l.Heal = HealNone
			}
			mine = append(mine, l)
		}
	}
	slices.SortStableFunc(mine, func(a, b LinkState) int { return strings.Compare(a.Cable, b.Cable) })
	mine = slices.CompactFunc(mine, func(a, b LinkState) bool { return a.Cable == b.Cable })
	mine = mine[:min(len(mine), MaxLinks)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started && slices.Equal(mine, s.wish.Links) {
		return false
	}
	s.started, s.wish.Links = true, mine
	s.renew()
	return true
}

// note sets or removes a note, and reports whether that is news.
func (s *store) note(key, value string) bool {
	key, value = clean(key, MaxKey), clean(value, MaxValue)
	if key == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := slices.Clone(s.wish.Notes)
	i, found := slices.BinarySearchFunc(notes, key, func(n note, key string) int { return strings.Compare(n.Key, key) })
	switch {
	case found && value == notes[i].Value, !found && value == "", !found && len(notes) == MaxNotes:
		return false
	case value == "":
		notes = slices.Delete(notes, i, i+1)
	case found:
		notes[i].Value = value
	default:
		notes = slices.Insert(notes, i, note{key, value})
	}
	s.wish.Notes = notes
	if !s.started { // goes out with the first announcement
		return false
	}
	s.renew()
	return true
}

// get returns the advert of a node, nil if there is none.
func (s *store) get(node string) *advert {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adverts[node]
}

// all returns the adverts by origin, the own one first if it is asked for so.
func (s *store) all(ownFirst bool) []*advert {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.adverts))
	list := make([]*advert, 0, len(names))
	if ownFirst && s.adverts[s.self] != nil {
		list = append(list, s.adverts[s.self])
	}
	for _, name := range names {
		if !ownFirst || name != s.self {
			list = append(list, s.adverts[name])
		}
	}
	return list
}

// digest is equal on nodes that know the same.
func (s *store) digest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.print
}

// speaksFor reports whether origin is an end of the cable, as far as that is
// known. What a node says of other cables is kept and passed on, since another
// node's plan may be newer than ours, but it is not believed.
func (s *store) speaksFor(origin, cable string) bool {
	if s.cables == nil {
		return true
	}
	ends, ok := s.cables[cable]
	return ok && (ends[0] == origin || ends[1] == origin)
}
