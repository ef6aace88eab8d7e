package coexist

import (
	"errors"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/lab"
)

// deeds are what people, udev, scripts and managers do to interfaces of others. After
// each of them the mesh is whole again by itself.
var deeds = []struct {
	name string
	do   string
	most time.Duration // without a packet, for the pair that is hit worst
}{
	{"another MAC address", "ip link set tbt-nord address 02:00:5e:10:00:01", time.Second},
	{"another name", "ip link set tbt-nord name enp199s0f5 || { ip link set tbt-nord down; ip link set tbt-nord name enp199s0f5; ip link set enp199s0f5 up; }", time.Second},
	{"another MTU", "ip link set tbt-nord mtu 1500", time.Second},
	{"no link-local addresses (addrgenmode)", "ip link set tbt-nord addrgenmode none", time.Second},
	{"stable privacy (addrgenmode)", "ip link set tbt-nord addrgenmode random", time.Second},
	{"temporary addresses", "sysctl -qw net.ipv6.conf.tbt-nord.use_tempaddr=2 net.ipv6.conf.tbt-nord.accept_ra=2", time.Second},
	{"IPv6 off and on", "sysctl -qw net.ipv6.conf.tbt-nord.disable_ipv6=1; sleep 0.1; sysctl -qw net.ipv6.conf.tbt-nord.disable_ipv6=0", time.Second},
	{"IPv6 off everywhere", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1", 2 * time.Second},
	{"the address of liveness", "ip address delete fe80::1/64 dev tbt-nord", time.Second},
	{"the route to a link", "ip -6 route delete fe80::/64 dev tbt-nord", time.Second},
	{"all addresses of a port", "ip address flush dev tbt-west", time.Second},
	{"umesh0 deleted", "ip link delete umesh0", time.Second},
	{"down", "ip link set tbt-west down", time.Second},
	{"forwarding off", "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0", time.Second},
	{"rules flushed", "ip rule flush; ip -6 rule flush; ip rule add priority 32766 lookup main; ip -6 rule add priority 32766 lookup main", time.Second},
}

func TestDeeds(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.whole("the start", 20*time.Second)
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			w := &world{T: t, Lab: w.Lab, logs: w.logs}
			stop := w.probe()
			w.must(here, d.do)
			time.Sleep(200 * time.Millisecond) // the agent may not have noticed yet
			whole := w.whole(d.name, 20*time.Second)
			l := stop()
			t.Logf("%v, whole again after %.1f s; foreign-changes: %q", l, whole.Seconds(), w.finding("foreign-changes"))
			if l.gap > d.most {
				t.Errorf("%v", l)
			}
		})
	}
}

// Whoever loads a packet filter flushes what there is, and with it the table by which
// packets are steered past a dead link. A link that dies then is left all the same.
func TestFlushedPacketFilter(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.whole("the start", 20*time.Second)
	w.must(here, "nft list table inet usb4mesh")
	w.must(here, "nft flush ruleset")
	stop := w.probe()
	if _, err := w.Cut(t.Context(), w.Plan.Cables[0].Name, lab.Silent, 0); err != nil {
		t.Fatal(err)
	}
	w.until("a verdict", 10*time.Second, func() error {
		if w.finding("link-dead") == "" {
			return errors.New("no link is called dead")
		}
		return nil
	})
	w.whole("the silent cut", 20*time.Second)
	l := stop()
	t.Log(l)
	if l.lost == 0 || l.gap > 2*time.Second {
		t.Errorf("%v: a silent cable loses some, but not for so long", l)
	}
}
