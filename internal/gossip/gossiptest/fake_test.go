package gossiptest_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/gossip/gossiptest"
)

// part is what the agent uses of gossip.
type part interface {
	Announce([]gossip.LinkState)
	States() []gossip.LinkState
	Members() []gossip.Member
	Note(key, value string)
	Strangers() []gossip.Stranger
	MayHeal(cable string, down time.Duration) (bool, string)
	Changed() <-chan struct{}
	Kick()
	SetKeys(keys [][]byte) error
	Close() error
}

var (
	_ part = (*gossip.Gossip)(nil)
	_ part = (*gossiptest.Fake)(nil)
)

func TestFake(t *testing.T) {
	m := gossiptest.NewMesh(gossip.Config{
		Members: map[string][]netip.Addr{
			"01": {netip.MustParseAddr("10.7.1.1")}, "02": {netip.MustParseAddr("10.7.1.2")}, "03": {netip.MustParseAddr("10.7.1.3")},
		},
		Cables: map[string][2]string{"1": {"01", "02"}},
	})
	one, two, three := m.Open("01"), m.Open("02"), m.Open("03")
	expect := func(f *gossiptest.Fake, want ...string) {
		t.Helper()
		var got []string
		for _, s := range f.States() {
			got = append(got, fmt.Sprintf("%s:%s %v", s.Node, s.Cable, s.Up))
		}
		if !slices.Equal(got, want) {
			t.Errorf("states %q, want %q", got, want)
		}
	}
	alive := func(f *gossiptest.Fake) (names string) {
		for _, m := range f.Members() {
			if m.Alive {
				names += m.Node[1:]
			}
		}
		return names
	}

	one.Announce([]gossip.LinkState{{Cable: "1", Up: true}})
	<-two.Changed()
	two.Announce([]gossip.LinkState{{Cable: "1"}})
	expect(three, "01:1 true", "02:1 false")
	if ok, _ := two.MayHeal("1", 0); ok {
		t.Error("the end with the higher name goes first")
	}
	one.Announce([]gossip.LinkState{{Cable: "1", Up: true, Heal: gossip.HealDone}})
	if ok, _ := two.MayHeal("1", 0); !ok {
		t.Error("the second end has no turn")
	}

	m.Part([]string{"03"})
	one.Announce([]gossip.LinkState{{Cable: "1"}})
	one.Note(gossip.DigestNote, "abc")
	expect(three, "01:1 true", "02:1 false")
	if a, b := alive(three), alive(one); a != "3" || b != "12" {
		t.Errorf("alive %s and %s", a, b)
	}
	m.Part()
	expect(three, "01:1 false", "02:1 false")
	if got := three.Members()[0].Digest; got != "abc" {
		t.Errorf("digest %q", got)
	}

	seq := one.States()[0].Seq
	if err := one.Close(); err != nil || alive(two) != "23" {
		t.Errorf("closed: %v, alive %s", err, alive(two))
	}
	one = m.Open("01")
	one.Announce([]gossip.LinkState{{Cable: "1", Up: true}})
	expect(two, "01:1 true", "02:1 false")
	if got := two.States()[0].Seq; got <= seq {
		t.Errorf("number %d after %d", got, seq)
	}
	one.SetStrangers(gossip.Stranger{Cause: gossip.WrongKey})
	one.Kick()
	if len(one.Strangers()) != 1 || one.Kicks() != 1 {
		t.Error("strangers and kicks are not kept")
	}
}
