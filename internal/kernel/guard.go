package kernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Guarder keeps strangers out: the real kernel or a fake.
type Guarder interface {
	// Guard makes the kernel refuse what the guard says, and nothing else, and returns
	// how many packets it has refused since the last call.
	Guard(ctx context.Context, g mesh.Guard) (mesh.Refused, error)
	// Unguard takes back all that Guard has made.
	Unguard(ctx context.Context) error
}

var _ Guarder = (*Kernel)(nil)

// Guard makes the kernel refuse the packets that g says, and no others. It looks first
// at what stands: where that is right nothing is written, and what somebody flushed or
// changed is put in place again, the whole table in one step. So it may be called often.
// It keeps no state in the process that matters, and what is guarded stays when the
// process dies.
//
// Like Steer, it does not wait for RTNL. On a kernel without nf_tables the error is
// ErrNoSteering.
func (k *Kernel) Guard(ctx context.Context, g mesh.Guard) (mesh.Refused, error) {
	g = canonical(g)
	s := &k.steering
	s.guard.Lock()
	defer s.guard.Unlock()
	total, stands := s.guardStands(ctx, g)
	since := newer(total, s.counted)
	if s.counted = total; stands {
		return since, nil
	}
	err := s.transact(ctx, func(c *nftables.Conn) error { return guardTable(c, g) })
	if err == nil {
		s.counted = mesh.Refused{} // the new table begins at zero
	}
	return since, err
}

// Unguard removes everything that Guard has made. It may be called again.
func (k *Kernel) Unguard(ctx context.Context) error { return k.steering.dropTable(ctx, guardName) }

// newer is what was counted since; a table that somebody made anew began at zero.
func newer(now, then mesh.Refused) mesh.Refused {
	sub := func(a, b uint64) uint64 {
		if a < b {
			return a
		}
		return a - b
	}
	return mesh.Refused{Stranger: sub(now.Stranger, then.Stranger), Forged: sub(now.Forged, then.Forged), Crossing: sub(now.Crossing, then.Crossing)}
}

// guardStands reads the table: what its counters say, and whether it is the one that
// guardTable writes for g. What can't be read does not stand: the error comes again when
// it is written.
func (s *steering) guardStands(ctx context.Context, g mesh.Guard) (total mesh.Refused, stands bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || ctx.Err() != nil || s.socket.SetReadDeadline(time.Now().Add(steerPatience)) != nil {
		return total, false
	}
	total, stands, err := readGuard(s.rules, g)
	if err != nil {
		s.drain()
	}
	return total, stands && err == nil
}

// readGuard knows rules by a digest in their comments, and sets by what they hold.
func readGuard(c *nftables.Conn, g mesh.Guard) (total mesh.Refused, stands bool, err error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == guardName })
	if err != nil || i < 0 {
		return total, false, err
	}
	table, stands := tables[i], tables[i].Flags == 0 // a dormant one does nothing
	for _, chain := range guardChains(g) {
		rules, err := c.GetRules(table, &nftables.Chain{Name: chain.name})
		if err != nil {
			return total, false, err
		}
		stands = stands && len(rules) == len(chain.rules)
		for i, r := range rules {
			comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
			stands = stands && comment == chain.comment(i)
			total = total.Plus(counted(comment, r.Exprs))
		}
	}
	for _, want := range guardSets(table, g) {
		if !stands {
			break
		}
		have, err := c.GetSetElements(want.set)
		if err != nil {
			return total, false, err
		}
		stands = sameKeys(have, want.elements)
	}
	return total, stands, nil
}

func sameKeys(a, b []nftables.SetElement) bool {
	keys := func(all []nftables.SetElement) (k []string) {
		for _, e := range all {
			k = append(k, string(e.Key))
		}
		return slices.Sorted(slices.Values(k))
	}
	return slices.Equal(keys(a), keys(b))
}

// counted sorts what a rule has counted by what its comment says.
func counted(comment string, es []expr.Any) (r mesh.Refused) {
	for _, e := range es {
		n, ok := e.(*expr.Counter)
		if !ok {
			continue
		}
		switch what, _, _ := strings.Cut(comment, ","); what {
		case saysStranger:
			r.Stranger += n.Packets
		case saysForged:
			r.Forged += n.Packets
		case saysCrossing:
			r.Crossing += n.Packets
		}
	}
	return r
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
