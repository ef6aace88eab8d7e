package agent

import (
	"fmt"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// takeSettings brings the settings of a new cluster file about while the agent runs. The keys
// of gossip are read again in any case, since the file may hold others; those that are
// no good are not used. It reports whether liveness has to be opened anew.
func (a *Agent) takeSettings(was, is mesh.AgentSettings) (watchAnew bool) {
	a.mu.Lock()
	g := a.shared.gossip
	a.mu.Unlock()
	a.loop.talk.retry = time.Time{} // what stood in the way may be mended
	a.stopMeasuring()
	fast := func(s mesh.AgentSettings) bool { return s.Liveness == mesh.LivenessFast }
	switch {
	case g == nil: // the next turn opens it, if it is to be
	case was.Gossip != is.Gossip || was.GossipPort != is.GossipPort || fast(was) != fast(is):
		a.closeGossip()
	case !a.plain(is):
		keys, err := a.keys(is)
		if err == nil {
			err = g.SetKeys(keys)
		}
		if err != nil {
			a.log.Error("the keys of gossip are not used; those from before stay", "error", err)
			a.loop.rejected = append(a.loop.rejected, finding.New(configRejected, "the keys of gossip from before are kept: %v", err).
				Hinted("mend the key file and reload: `systemctl reload usb4mesh`"))
		} else {
			a.log.Info("the keys of gossip were read", "keys", len(keys))
		}
	}
	if a.options.Reloaded != nil {
		a.options.Reloaded(is)
	}
	return was.Liveness != is.Liveness || was.BFDPort != is.BFDPort
}

// settingsDiff says what differs between the settings of two cluster files, for people.
func settingsDiff(was, is mesh.AgentSettings) (changes []string) {
	for _, s := range []struct {
		name    string
		was, is any
	}{
		{"liveness", was.Liveness, is.Liveness}, {"gossip", was.Gossip, is.Gossip}, {"key", was.Key, is.Key},
		{"ports.gossip", was.GossipPort, is.GossipPort}, {"ports.bfd", was.BFDPort, is.BFDPort},
		{"bench", was.Bench, is.Bench}, {"ports.bench", was.BenchPort, is.BenchPort},
		{"metrics", was.Metrics, is.Metrics}, {"latency", was.Latency, is.Latency},
	} {
		if s.was != s.is {
			changes = append(changes, fmt.Sprintf("agent: %s was %v and is %v", s.name, given(s.was), given(s.is)))
		}
	}
	return changes
}

// given writes a setting that is not in the file as such.
func given(v any) any {
	if v == "" || v == 0 {
		return "the default"
	}
	return v
}
