package gossip

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// A key is changed node by node while all go on: nobody is lost, nobody is a stranger on
// the way, and the old key lets nobody in afterwards.
func TestKeysChangeNodeByNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := bytes.Repeat([]byte("old 4567"), 4), bytes.Repeat([]byte("new 4567"), 4)
		w := newWorld(t, 4)
		with := func(keys ...[]byte) func(*Config) {
			return func(c *Config) { c.Plain, c.Keys = false, keys }
		}
		for i := range 4 {
			w.start(name(i+1), with(before))
		}
		w.announceAll()
		w.settle()
		down := false
		for step, keys := range [][][]byte{{before, after}, {after, before}, {after}} {
			for i := range 4 {
				if err := w.nodes[name(i+1)].SetKeys(keys); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				links := w.links("01")
				if down = !down; down {
					links = w.links("01", "1")
				}
				w.nodes["01"].Announce(links)
				took := w.until(time.Second, "spread", func(g *Gossip) error { return says(g, "01", "1", !down) })
				if took > 200*time.Millisecond {
					t.Errorf("step %d, node %d: a change took %v", step, i+1, took)
				}
			}
		}
		for node, g := range w.nodes {
			for _, m := range g.Members() {
				if !m.Alive {
					t.Errorf("%s: node %s is not alive", node, m.Node)
				}
			}
			if s := g.Strangers(); len(s) > 0 {
				t.Errorf("%s: strangers %+v", node, s)
			}
		}
		w.kill("04")
		w.start("04", with(before))
		w.nodes["04"].Announce(w.links("04"))
		time.Sleep(5 * time.Second)
		s := w.nodes["01"].Strangers()
		if len(s) == 0 || s[0].Cause != WrongKey {
			t.Errorf("who comes with the old key: %+v", s)
		}
	})
}

func TestKeysThatCantBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		key := bytes.Repeat([]byte("key 4567"), 4)
		g := w.start("01", func(c *Config) { c.Plain, c.Keys = false, [][]byte{key} })
		for _, keys := range [][][]byte{nil, {key[:5]}, {key, key[:31]}} {
			if g.SetKeys(keys) == nil {
				t.Errorf("%d keys are taken", len(keys))
			}
		}
		if got := g.keyring.GetKeys(); len(got) != 1 || !bytes.Equal(got[0], key) {
			t.Errorf("the keys are %q afterwards", got)
		}
		plain := w.start("02", func(c *Config) { c.Plain, c.Keys = true, nil })
		if plain.SetKeys([][]byte{key}) == nil {
			t.Error("plain gossip takes keys")
		}
	})
}
