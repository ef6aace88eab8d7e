package gossip

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func testStore(self string) *store {
	return newStore(&Config{Node: self, Members: map[string][]netip.Addr{"01": nil, "02": nil, "03": nil}}, 50)
}

func TestTake(t *testing.T) {
	s := testStore("01")
	up := []LinkState{{Cable: "1", Up: true}}
	for i, tt := range []struct {
		a    advert
		want verdict
	}{
		{advert{Origin: "02", Seq: 5, Instance: 7}, fresh},
		{advert{Origin: "02", Seq: 5, Instance: 7}, old},
		{advert{Origin: "02", Seq: 4, Instance: 9}, stale},
		{advert{Origin: "02", Seq: 5, Instance: 8}, fresh}, // a tie of two lives, the same everywhere
		{advert{Origin: "02", Seq: 5, Instance: 7}, stale},
		{advert{Origin: "04", Seq: 1}, refused},
		{advert{Origin: "01", Seq: 8, Instance: 7}, old}, // nothing said yet: remembered
	} {
		if got, _ := s.take(&tt.a); got != tt.want {
			t.Errorf("step %d: %v, want %v", i, got, tt.want)
		}
	}
	if s.get("04") != nil {
		t.Error("a node that is not in the plan is stored")
	}
	if !s.announce(up) || s.announce(up) {
		t.Error("news is not told from what was said before")
	}
	if a := s.get("01"); a.Seq != 9 {
		t.Errorf("number %d, want one above the former life's", a.Seq)
	}
	if v, _ := s.take(&advert{Origin: "01", Seq: 9, Instance: 7}); v != old {
		t.Errorf("an equal number of a lower life: %v", v)
	}
	if v, twin := s.take(&advert{Origin: "01", Seq: 9, Instance: 99}); v != outbid || twin {
		t.Errorf("an equal number of a higher life: %v, %v", v, twin)
	}
	if v, _ := s.take(&advert{Origin: "01", Seq: maxSeq, Instance: 7}); v != outbid || s.get("01").Seq != maxSeq {
		t.Errorf("the highest number: %v, %d", v, s.get("01").Seq)
	}
}

func TestNotes(t *testing.T) {
	s := testStore("01")
	s.note("b", "1")
	s.note("a", "2")
	s.announce(nil)
	s.note("b", "")
	s.note("c", "3")
	want := []note{{"a", "2"}, {"c", "3"}}
	if diff := cmp.Diff(want, s.get("01").Notes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s.note("c", "3") || s.note("x", "") {
		t.Error("no news is told as news")
	}
}

// In whatever order adverts come, nodes that have seen the same know the same.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.SliceOf(rapid.Custom(func(t *rapid.T) advert {
			return advert{
				Origin:   rapid.SampledFrom([]string{"02", "03", "04"}).Draw(t, "origin"),
				Seq:      rapid.Uint64Range(1, 4).Draw(t, "seq"),
				Instance: rapid.Uint64Range(1, 3).Draw(t, "instance"),
			}
		})).Draw(t, "said")
		one, other := testStore("01"), testStore("01")
		for _, a := range said {
			one.take(&a)
		}
		shuffled := slices.Clone(said)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, a := range shuffled {
			other.take(&a)
		}
		if diff := cmp.Diff(one.all(false), other.all(false)); diff != "" {
			t.Fatal(diff)
		}
		if one.digest() != other.digest() {
			t.Fatal("the digests differ")
		}
	})
}
