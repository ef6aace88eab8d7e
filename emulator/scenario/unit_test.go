package scenario

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseCable(t *testing.T) {
	c, err := parseCable("um-1:1-b.x:12")
	if err != nil || c.ends != [2]end{{"um-1", 1}, {"b.x", 12}} {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"", "a:1", "a-b", "a:1-b:", "a:1-b:x", "a:1-b:2-c:3", "a :1-b:2"} {
		if _, err := parseCable(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func worldOf(t *testing.T, cables ...string) *World {
	t.Helper()
	w := &World{T: t}
	for _, text := range cables {
		c, err := parseCable(text)
		if err != nil {
			t.Fatal(err)
		}
		w.cables = append(w.cables, c)
		for _, e := range c.ends {
			if w.hostNamed(e.host) == nil {
				w.hosts = append(w.hosts, &Host{Name: e.host, world: w})
			}
		}
	}
	return w
}

func TestRoundabout(t *testing.T) {
	for _, c := range []struct {
		cables []string
		want   bool
		twin   int // of the last one
	}{
		{[]string{"a:1-b:1"}, false, 0},
		{[]string{"a:1-b:1", "b:2-a:2"}, true, 1},
		{[]string{"a:1-b:2", "b:1-c:2", "c:1-a:2"}, true, 0},
		{[]string{"a:1-b:2", "b:1-c:2"}, false, 0},
		{[]string{"a:1-b:2", "b:1-c:2", "c:1-d:2", "d:1-a:2"}, false, 0}, // two hosts between: no route is set for that
	} {
		w := worldOf(t, c.cables...)
		if got := w.roundabout(w.cables[0]); got != c.want {
			t.Errorf("%v: roundabout of the first is %v", c.cables, got)
		}
		if got := w.twin(w.cables[len(w.cables)-1]); got != c.twin {
			t.Errorf("%v: twin of the last is %d", c.cables, got)
		}
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var s watch
		go s.run(ctx)
		time.Sleep(time.Second)
		if got := s.take(); got != 0 {
			t.Errorf("a standstill of %v where there was none", got)
		}
		s.worst.Store(int64(time.Second))
		if a, b := s.take(), s.take(); a != time.Second || b != 0 {
			t.Errorf("take gave %v and then %v", a, b)
		}
		cancel()
		time.Sleep(time.Second)
	})
}
