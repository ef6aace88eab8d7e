package gossip

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	strangerAge   = 10 * time.Minute // how long one is remembered after its last try, and how often it is logged
	strangerLimit = 64               // remembered at once
)

// strangers counts who was kept out. Its size is bounded, whatever is sent, and
// so is what it writes to the log: a line for a new one, a line every ten
// minutes while it goes on.
type strangers struct {
	log  *slog.Logger
	wake func()

	mu    sync.Mutex
	known map[strangerKey]*strangerEntry
	lost  uint64 // not remembered, since the table was full
}

type strangerKey struct {
	cause   Cause
	node    string
	address netip.Addr
}

type strangerEntry struct {
	Stranger
	logged time.Time
}

// report counts one. It takes no lock but its own, so that it may be called from
// anywhere.
func (s *strangers) report(cause Cause, node string, address netip.Addr, detail string) {
	now := time.Now()
	node = clean(node, MaxName)
	key := strangerKey{cause, node, address}
	s.mu.Lock()
	e := s.known[key]
	fresh := e == nil
	if fresh {
		if len(s.known) >= strangerLimit {
			s.forget(now)
		}
		if len(s.known) >= strangerLimit {
			s.lost++
			s.mu.Unlock()
			return
		}
		e = &strangerEntry{Stranger: Stranger{Cause: cause, Node: node, Address: address, First: now}}
		s.known[key] = e
	}
	e.Count++
	e.Last, e.Detail = now, detail
	tell := fresh || now.Sub(e.logged) >= strangerAge
	if tell {
		e.logged = now
	}
	count := e.Count
	s.mu.Unlock()
	if tell {
		s.log.Warn("gossip: refused", "cause", cause, "node", node, "address", text(address), "detail", detail, "count", count)
		s.wake()
	}
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// forget drops who was not seen for long. The lock is held.
func (s *strangers) forget(now time.Time) {
	for key, e := range s.known {
		if now.Sub(e.Last) >= strangerAge {
			delete(s.known, key)
		}
	}
}

// list returns who was seen lately, latest first sight last.
func (s *strangers) list() []Stranger {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(time.Now())
	all := make([]Stranger, 0, len(s.known))
	for _, e := range s.known {
		all = append(all, e.Stranger)
	}
	slices.SortFunc(all, func(a, b Stranger) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Node, b.Node), a.Address.Compare(b.Address))
	})
	return all
}
