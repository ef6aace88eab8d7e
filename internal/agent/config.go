package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// readConfig reads and plans the cluster file. If a finding is an error, the plan
// must not be used.
func readConfig(name, node string) (mesh.Cluster, mesh.Plan, []finding.Finding) {
	src, err := os.ReadFile(name)
	if err != nil {
		return mesh.Cluster{}, mesh.Plan{}, []finding.Finding{finding.New(configUnread, "the cluster file can't be read: %v", err)}
	}
	cluster, fs := config.Parse(name, src)
	if finding.HasErrors(fs) {
		return cluster, mesh.Plan{}, fs
	}
	p, more := plan.Make(cluster)
	fs = append(fs, config.Locate(name, src, more)...)
	if !finding.HasErrors(fs) && p.Node(node) == nil {
		fs = append(fs, finding.New(notInPlan, "node %s is not in the cluster file", node).
			Hinted("name the node with --node, or give the machine a host name of the file: %s", names(p)))
	}
	return cluster, p, fs
}

func names(p mesh.Plan) string {
	var out []string
	for i, n := range p.Nodes {
		if i == 8 {
			out = append(out, "...")
			break
		}
		out = append(out, n.Name)
	}
	return strings.Join(out, ", ")
}

// digest is equal for equal plans: nodes that show different ones would route
// against each other.
func digest(p mesh.Plan) string {
	p.Source = "" // a file may lie elsewhere
	data, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// adopt makes a plan the one to keep.
func (a *Agent) adopt(c mesh.Cluster, p mesh.Plan, warnings []finding.Finding) {
	l := &a.loop
	l.cluster, l.plan, l.digest = c, p, digest(p)
	l.rejected, l.warnings = nil, warnings
	l.whole, l.next, l.gathering = plan.Without(&l.plan, nil), nil, time.Time{}
	self := p.Node(a.options.Node)
	a.mu.Lock()
	defer a.mu.Unlock()
	before := map[string]*port{}
	for _, b := range a.shared.ports {
		before[b.Plan.Cable+" "+b.Plan.Interface] = b
	}
	a.shared.node, a.shared.plan, a.shared.digest = self.Name, &p, l.digest
	a.shared.ports = nil
	// Steering would go by tables of another plan.
	a.shared.installed, a.shared.passage, a.shared.target, a.shared.out, a.shared.bypass = nil, nil, nil, nil, nil
	for _, link := range self.Links {
		b := before[link.Cable+" "+link.Interface]
		if b == nil {
			b = &port{}
		}
		b.Plan = link
		a.shared.ports = append(a.shared.ports, b)
	}
}

// rereadConfig takes a new cluster file, or keeps the running plan and says why. It
// reports whether liveness has to be opened anew.
func (a *Agent) rereadConfig() (watchAnew bool) {
	a.parts.notify("RELOADING=1")
	defer a.parts.notify("READY=1")
	c, p, fs := readConfig(a.options.Config, a.options.Node)
	if finding.HasErrors(fs) {
		for _, f := range fs {
			if f.Severity == finding.Error {
				a.log.Error("the cluster file is not used; the running plan stays", "error", f.Error(), "hint", f.Hint)
			}
		}
		a.loop.rejected = []finding.Finding{finding.New(configRejected, "the cluster file has errors, the plan from before is kept: %s", (&ErrConfig{fs}).Error()).
			Hinted("mend it and reload: `usb4mesh check %s`, then `systemctl reload usb4mesh`", a.options.Config)}
		return false
	}
	changes := planDiff(a.loop.plan, p)
	was := a.loop.cluster.Agent
	changes = append(changes, settingsDiff(was, c.Agent)...)
	if len(changes) == 0 {
		a.log.Info("the cluster file was read again; nothing differs", "digest", a.loop.digest)
	}
	for _, change := range changes {
		a.log.Info("the plan changes", "change", change)
	}
	before := a.loop.digest
	a.adopt(c, p, fs)
	if a.loop.digest != before {
		a.closeGossip() // its members may have changed
		a.log.Info("the new plan is used", "digest", a.loop.digest, "before", before)
	}
	return a.takeSettings(was, c.Agent)
}

// planDiff says what differs between two plans, for people.
func planDiff(from, to mesh.Plan) []string {
	var out []string
	describe := func(p mesh.Plan) (map[string]string, []string) {
		what := map[string]string{"the MTU": fmt.Sprint(p.MTU), "the name of the mesh": p.Mesh}
		order := []string{"the MTU", "the name of the mesh"}
		add := func(key, value string) { what[key] = value; order = append(order, key) }
		for _, n := range p.Nodes {
			add("node "+n.Name, fmt.Sprint(n.Identity))
		}
		for _, c := range p.Cables {
			add("cable "+c.Name, fmt.Sprintf("%s - %s, %d Gbit/s", c.Ends[0], c.Ends[1], c.Speed))
		}
		return what, order
	}
	was, oldOrder := describe(from)
	is, newOrder := describe(to)
	for _, key := range newOrder {
		switch old, ok := was[key]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s is new: %s", key, is[key]))
		case old != is[key]:
			out = append(out, fmt.Sprintf("%s was %s and is %s", key, old, is[key]))
		}
	}
	for _, key := range oldOrder {
		if _, ok := is[key]; !ok {
			out = append(out, fmt.Sprintf("%s is gone: %s", key, was[key]))
		}
	}
	return out
}
