package liveness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
)

// Engine watches links until it is closed. All methods may be called by several
// goroutines at once; after Close they do nothing.
type Engine struct {
	commands chan func(*loop)
	poke     func()
	news     chan struct{}
	out      chan Event
	log      *slog.Logger

	closing context.CancelFunc
	ended   chan struct{} // the loop has
	all     sync.WaitGroup
}

// Open starts to watch, in the network namespace of the calling thread, which must be
// allowed to open raw sockets (CAP_NET_RAW) if a peer without agent is to be told from
// a dead link. The engine ends with ctx, or with Close.
func Open(ctx context.Context, c Config) (*Engine, error) {
	c, err := c.filled()
	if err != nil {
		return nil, err
	}
	allow(pair)
	l, err := newLoop(c)
	if err != nil {
		return nil, fmt.Errorf("liveness: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	e := &Engine{
		commands: l.commands,
		news:     make(chan struct{}, 1),
		out:      make(chan Event),
		log:      c.Log,
		closing:  cancel,
		ended:    make(chan struct{}),
	}
	var mu sync.Mutex // the descriptor's number may be another file's after the loop has closed it
	e.poke = func() {
		mu.Lock()
		defer mu.Unlock()
		if l.wake >= 0 {
			poke(l.wake)
		}
	}
	l.news = func() {
		select {
		case e.news <- struct{}{}:
		default:
		}
	}
	ready := make(chan struct{})
	e.all.Go(func() {
		defer close(e.ended)
		if c.RealTime {
			// Never unlocked: the thread ends with the goroutine, and with it what was changed of it.
			runtime.LockOSThread()
			l.hasten()
		}
		ready <- struct{}{}
		l.run()
		mu.Lock()
		defer mu.Unlock()
		l.close()
	})
	<-ready
	if l.problem != "" {
		c.Log.Warn("links are watched by an ordinary thread", "why", l.problem)
	}
	e.all.Go(e.deliver)
	e.all.Go(func() {
		<-ctx.Done()
		e.do(func(l *loop) { l.closing = true })
	})
	return e, nil
}

func (c Config) filled() (Config, error) {
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	c.Multiplier = cmp.Or(c.Multiplier, DefaultMultiplier)
	c.Port = cmp.Or(c.Port, Port)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Interval < MinInterval || c.Interval > MaxInterval {
		return c, fmt.Errorf("liveness: an interval of %s is not between %s and %s", c.Interval, MinInterval, MaxInterval)
	}
	if c.Multiplier < 1 || c.Multiplier > 255 {
		return c, fmt.Errorf("liveness: a multiplier of %d is not between 1 and 255", c.Multiplier)
	}
	return c, nil
}

// do runs f in the loop and waits for it. It returns false if the
// engine has ended.
func (e *Engine) do(f func(*loop)) bool {
	done := make(chan struct{})
	select {
	case e.commands <- func(l *loop) { f(l); close(done) }:
	case <-e.ended:
		return false
	}
	e.poke()
	select {
	case <-done:
		return true
	case <-e.ended:
		return false
	}
}

// deliver hands events to the reader, and logs them.
func (e *Engine) deliver() {
	defer close(e.out)
	for {
		select {
		case <-e.news:
		case <-e.ended:
			return
		}
		for {
			event, ok := e.fetch()
			if !ok {
				break
			}
			s := event.Session
			e.log.Info("link is "+string(s.Verdict), "interface", s.Link.Name, "was", event.Previous, "bfd", s.State,
				"diagnostic", s.Diagnostic, "peer", s.Link.Remote, "peer-bfd", s.Remote, "peer-diagnostic", s.Said)
			select {
			case e.out <- event:
			case <-e.ended:
				return
			}
		}
	}
}

// fetch takes the oldest event.
func (e *Engine) fetch() (event Event, ok bool) {
	e.do(func(l *loop) {
		if len(l.events) > 0 {
			event, ok = l.events[0], true
			l.events = l.events[1:]
		}
	})
	return event, ok
}

// Set says which links to watch from now on. A link that is watched keeps its session,
// unless its index or an address has changed: then it starts anew, with what was
// counted. Sockets are opened at once or, when that fails, tried every second; until
// then Session.Problems says why.
//
// A link without carrier is better left out: it would be found Dead, which is true, but
// known before. One that can't be watched, because it has no index or its addresses are
// not two different ones of one family, is left out with a warning.
func (e *Engine) Set(links []Link) {
	var good []Link
	for _, l := range links {
		why := ""
		switch {
		case l.Index <= 0 || l.Name == "":
			why = "it has no interface"
		case !plain(l.Local) || !plain(l.Remote) || l.Local.Is4() != l.Remote.Is4() || l.Local == l.Remote:
			why = "its addresses are not two different ones of one family, without zones"
		case slices.ContainsFunc(good, func(o Link) bool { return o.Name == l.Name }):
			why = "it is named twice"
		default:
			good = append(good, l)
			continue
		}
		e.log.Warn("link can't be watched", "interface", l.Name, "index", l.Index, "local", l.Local, "remote", l.Remote, "why", why)
	}
	e.do(func(loop *loop) { loop.set(good) })
}

func plain(a netip.Addr) bool { return a.IsValid() && a.Zone() == "" && !a.Is4In6() }

// Events returns the changes of verdicts, in the order in which they happened. It is
// closed when the engine ends. A link that is first watched is Unknown; that is no event.
func (e *Engine) Events() <-chan Event { return e.out }

// Sessions returns all sessions, sorted by interface name.
func (e *Engine) Sessions() []Session {
	var out []Session
	e.do(func(l *loop) {
		for _, w := range l.watches {
			out = append(out, l.report(w))
		}
	})
	return out
}

// Hold takes the session of an interface down administratively, or lets it come up
// again. That lasts until it is taken back, also when the link goes and comes again.
func (e *Engine) Hold(name string, hold bool) {
	e.do(func(l *loop) { l.hold(name, hold) })
}

// Close ends the engine, after telling the peers that this is no failure.
func (e *Engine) Close() error {
	if e.closing == nil {
		return errors.New("liveness: the engine was never opened")
	}
	e.closing()
	e.all.Wait()
	return nil
}
