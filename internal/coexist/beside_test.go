package coexist

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

// program is something else that manages networks.
type program struct {
	name   string
	script string
	needs  string        // a file
	ready  string        // what it prints when it has begun
	takes  time.Duration // until it has given addresses of its own to what it takes
	again  string        // a command that makes it configure all anew
	stock  string        // its configuration as it is shipped, which takes every interface
	spare  string        // as docs/agent.md says
}

var programs = []program{
	{
		name: "NetworkManager", script: "networkmanager.sh", needs: unpacked + "/usr/sbin/NetworkManager",
		ready: "state is now CONNECTED", takes: 4 * time.Second, again: nmcli + "networking off; " + nmcli + "networking on",
		// It gives DHCP 45 seconds, four times; a test has less time.
		stock: "autoconnect-retries-default=1\n[connection]\nipv4.dhcp-timeout=3\nipv6.ra-timeout=3\n",
		spare: "[keyfile]\nunmanaged-devices=interface-name:tbt-*;interface-name:thunderbolt*;interface-name:umesh0\n",
	},
	{
		name: "dhcpcd", script: "dhcpcd.sh", needs: unpacked + "/usr/sbin/dhcpcd",
		ready: "dhcpcd-", takes: 12 * time.Second, again: "kill -HUP $(cat /run/dhcpcd/pid)",
		spare: "denyinterfaces tbt-* thunderbolt* umesh0",
	},
	{
		name: "systemd-networkd", script: "networkd.sh", needs: "/lib/systemd/systemd-networkd",
		ready: "Enumeration completed", takes: 9 * time.Second, again: "networkctl reconfigure $(ls /sys/class/net | grep -v ^lo)",
		stock: "[Match]\nName=*\n[Network]\nDHCP=yes\nLinkLocalAddressing=yes\nIPv6AcceptRA=yes\n",
		spare: "[Match]\nName=!tbt-* !thunderbolt* !umesh0 *\n[Network]\nDHCP=yes\nLinkLocalAddressing=yes\n",
	},
}

const nmcli = "LD_LIBRARY_PATH=$(echo " + unpacked + "/usr/lib/*-linux-gnu) " + unpacked + "/usr/bin/nmcli --wait 3 "

// TestBeside runs each of them together with the agent: as it is shipped, and told to
// spare the mesh.
func TestBeside(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for name, spared := range map[string]bool{"stock": false, "told": true} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					if _, err := os.Stat(p.needs); err != nil {
						t.Skipf("%v: scripts/install-deps brings it", err)
					}
					(&trial{world: start(t, nil), program: p, spared: spared}).all()
				})
			}
		})
	}
}

// trial is a program on a node with an agent. Spared, the program is told to leave the
// mesh alone.
type trial struct {
	*world
	program
	spared bool
	runs   *running
}

const (
	// moment is what a program gets for what it does at once.
	moment = time.Second
	// gapMost is how long a pair may be parted by a program that knows nothing of the
	// mesh. By one that does, it is not parted at all.
	gapMost = 5 * time.Second
	// wholeMost is how long it may take until all links are used again: one that died
	// again and again meanwhile has to be alive for a while first.
	wholeMost = 40 * time.Second
	// busyMost is how much of a processor the agent may take meanwhile.
	busyMost = 0.5
	// fightMost is how often an agent may change its kernel in quietTime when nothing
	// happens but what the program does by itself.
	fightMost = 15
	quietTime = 3 * time.Second
)

func (b *trial) all() {
	b.must(here, place+placeOnPort)
	was := b.foreign()
	b.during("it starts", b.time(), b.begin)
	b.during("it starts again", moment, func() { b.runs.stop(); b.begin() })
	if b.spared {
		b.keeps("the program and the agent", was)
	}
	b.during("it configures all anew", 3*moment, func() { b.must(here, b.again) })

	was = b.foreign()
	b.during("the agent starts again", moment, func() { b.do(lab.AgentStop); b.do(lab.AgentStart) })
	b.keeps("the agent, started again,", was)

	b.do(lab.AgentStop)
	b.replug()
	time.Sleep(min(b.time(), 4*time.Second)) // it has new interfaces all for itself
	b.do(lab.AgentStart)
	b.Logf("the mesh is whole %.1f s after an agent came second", b.whole("the agent came second", wholeMost).Seconds())
	b.quiet()

	b.clean()
	b.runs.stop()
}

func (b *trial) do(a lab.AgentAction) {
	b.Helper()
	if err := b.Agent(b.Context(), here, a); err != nil {
		b.Fatal(err)
	}
}

// time is how long the program takes until it has done all that it does.
func (b *trial) time() time.Duration {
	if b.spared {
		return moment
	}
	return b.takes
}

// begin starts the program, and waits until it says that it works.
func (b *trial) begin() {
	b.Helper()
	config := b.stock
	if b.spared {
		config = b.spare
	}
	log := filepath.Join(b.logs, "program.log")
	was, _ := os.ReadFile(log) // none at first
	b.runs = b.run(here, b.script, config)
	b.until(b.name+" works", 20*time.Second, func() error {
		said, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(said[len(was):]), b.ready) {
			err = errors.New("it does not say " + b.ready)
		}
		return err
	})
}

// during probes all pairs while something happens, and judges what they lost.
func (b *trial) during(what string, wait time.Duration, do func()) {
	b.Helper()
	before, _ := b.changed()
	stop := b.probe()
	do()
	time.Sleep(wait)
	often := b.finding("foreign-changes")
	whole := b.whole(what, wholeMost)
	l := stop()
	changes, _ := b.changed()
	b.Logf("%s: %v, whole again after %.1f s; the agent made %d changes; foreign-changes: %q", what, l, whole.Seconds(), changes-before, often)
	switch {
	case b.spared && (l.lost > 0 || often != ""):
		b.Errorf("%s: %v, %q; it was told to spare the mesh", what, l, often)
	case l.gap > gapMost:
		b.Errorf("%s: %v", what, l)
	}
}

// quiet checks that agent and program do not fight when nothing else happens.
func (b *trial) quiet() {
	b.Helper()
	changed, timed := b.changed()
	computed := b.computed()
	time.Sleep(quietTime)
	changes, times := b.changed()
	changes, times, computed = changes-changed, times-timed, b.computed()-computed
	b.Logf("left alone, the agent makes %d changes at %d times and computes for %v in %v", changes, times, computed, quietTime)
	if times > fightMost || computed.Seconds() > busyMost*quietTime.Seconds() {
		b.Errorf("left alone, the agent changes its kernel %d times and computes for %v in %v", times, computed, quietTime)
	}
}
