package coexist

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

// peer is the node that runs FRR, too.
const peer = "nord"

// frrConfig is OSPF between two nodes, over a mesh link, and a static route over it. The
// networks say on which addresses OSPF runs, which are the ones that it tells.
func frrConfig(router, networks, static string) string {
	return fmt.Sprintf(`
ip route %s
interface tbt-%s
 ip ospf hello-interval 1
 ip ospf dead-interval 3
 ip ospf network point-to-point
router ospf
 ospf router-id %s
 %s
bfd
 peer 192.0.2.77
`, static, map[string]string{"192.0.2.1": peer, "192.0.2.129": here}[router], router, networks)
}

const (
	ownNetworks = "network 192.0.2.0/24 area 0\n network 198.51.100.0/24 area 0"
	everything  = "network 0.0.0.0/0 area 0"
)

// TestBesideFRR runs FRR on two nodes, with OSPF and a static route over the cable that
// is the mesh's. Told, OSPF speaks of FRR's own networks; stock, of all that there are,
// which are the identities of the nodes, too.
func TestBesideFRR(t *testing.T) {
	t.Parallel()
	for name, networks := range map[string]string{"stock": everything, "told": ownNetworks} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat("/usr/lib/frr/zebra"); err != nil {
				t.Skipf("%v: scripts/install-deps brings it", err)
			}
			// BFD's port is bfdd's: the agents take another.
			w := start(t, func(src string) string { return src + "agent: {ports: {bfd: 23784}}\n" })
			w.must(here, strings.ReplaceAll(place, "192.0.2.1/24", "192.0.2.1/25")+placeOnPort)
			w.must(peer, "ip link add theirs0 type bridge; ip link set theirs0 up; ip address add 192.0.2.129/25 dev theirs0; ip address add 198.51.100.2/24 dev tbt-"+here)
			p := program{name: "FRR", script: "frr.sh", ready: "all daemons are configured"}
			w.run(peer, p.script, frrConfig("192.0.2.129", networks, "203.0.113.128/26 198.51.100.1"))
			p.stock = frrConfig("192.0.2.1", networks, "203.0.113.192/26 198.51.100.2")
			(&trial{world: w, program: p}).routes()
		})
	}
}

// routes is a trial of a program that makes routes.
func (b *trial) routes() {
	was := b.foreign()
	learned := func() {
		b.until("FRR's routes", 20*time.Second, func() error {
			out := b.must(here, "ip route show protocol ospf; ip route show protocol static; ip route show 203.0.113.192/26")
			for _, want := range []string{"192.0.2.128/25 ", "203.0.113.192/26 "} {
				if !strings.Contains(out, want) {
					return errors.New("there is no " + want + ":\n" + out)
				}
			}
			return nil
		})
	}
	b.during("it starts", moment, func() { b.begin(); learned() })
	b.during("it starts again", moment, func() { b.runs.stop(); b.begin(); learned() })
	b.keeps("FRR and the agent", was)
	was = b.foreign()
	b.during("the agent starts again", moment, func() { b.do(lab.AgentStop); b.do(lab.AgentStart) })
	b.keeps("the agent, started again,", was)
	b.quiet()
	b.second()
	b.during("it ends", moment, func() { b.runs.stop() })
	b.clean()
}

// second starts the agent after FRR has got routes of its own to a node of the mesh.
// They stand where those of the mesh would: zebra's metric is the one of our detours.
func (b *trial) second() {
	b.do(lab.AgentStop)
	b.must(here, "ip route flush protocol 117")
	if strings.Contains(b.stock, everything) {
		b.until("a route to a node", 20*time.Second, func() error {
			out := b.must(here, "ip route show 10.7.4.2/32")
			if !strings.Contains(out, "proto ospf metric 20") {
				return errors.New(out)
			}
			return nil
		})
	}
	b.do(lab.AgentStart)
	b.Logf("whole %.1f s after the agent came second: %q", b.whole("the agent came second", 20*time.Second).Seconds(), b.finding("kernel-refuses"))
}

// bfdd and the agent can't both have BFD's port. Whoever comes second does without: the
// mesh goes on, and status says what is to be done. When bfdd has gone, the agent that
// starts then has the port.
func TestBesideBFDDaemon(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/lib/frr/bfdd"); err != nil {
		t.Skipf("%v: scripts/install-deps brings it", err)
	}
	w := start(t, nil)
	b := &trial{world: w, program: program{name: "FRR", script: "frr.sh", ready: "all daemons are configured", stock: "bfd\n peer 192.0.2.77\n"}}
	b.do(lab.AgentStop)
	b.during("bfdd has the port", moment, func() { b.begin(); b.do(lab.AgentStart) })
	if why := b.finding("bfd-problem"); !strings.Contains(why, "FRR's bfdd") {
		t.Errorf("the port is taken, and status says nothing of it: %+v", b.agent().Status.Findings)
	}
	b.during("bfdd has gone", moment, func() { b.runs.stop(); b.do(lab.AgentStop); b.do(lab.AgentStart) })
	b.until("no finding", 10*time.Second, func() error {
		if why := b.finding("bfd-problem"); why != "" {
			return errors.New(why)
		}
		return nil
	})
}
