package liveness

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/kernel/kerneltest"
)

// other is another implementation of BFD, running in a node with one session.
type other interface {
	state(t *testing.T) theirs
	// shutdown takes the session down administratively, and tells whether it says so to
	// its peer.
	shutdown(t *testing.T, down bool) (says bool)
}

// theirs is what the other implementation says of its session.
type theirs struct {
	State                 string // "up", "down", "init", "admin-down"
	Interval, RemoteMinTx time.Duration
	Multiplier            int
	Detection             time.Duration
	Diagnostic            string
}

// Their timers differ from ours, so that it shows who heeds what.
const (
	theirRx         = 70 * time.Millisecond
	theirTx         = 90 * time.Millisecond
	theirMultiplier = 4
)

func needFRR(t testing.TB) {
	t.Helper()
	for _, name := range []string{"zebra", "bfdd"} {
		if _, err := os.Stat("/usr/lib/frr/" + name); err != nil {
			t.Skipf("FRR is not installed: %v", err)
		}
	}
	if kerneltest.Borrowed() {
		t.Skip("FRR's daemons change to the user frr, which takes root")
	}
}

func TestInteropFRR(t *testing.T) {
	needFRR(t)
	bothFamilies(t, func(t *testing.T, v4 bool) {
		interop(t, v4, func(n *node, l Link) other { return startFRR(t, n, l) })
	})
}

// birdPath is where Debian has it: not on every PATH.
const birdPath = "/usr/sbin/bird"

func TestInteropBIRD(t *testing.T) {
	if _, err := exec.LookPath(birdPath); err != nil {
		t.Skipf("BIRD is not installed: %v", err)
	}
	bothFamilies(t, func(t *testing.T, v4 bool) {
		interop(t, v4, func(n *node, l Link) other { return startBIRD(t, n, l) })
	})
}

// interop lets our engine and another watch one cable.
func interop(t *testing.T, v4 bool, start func(*node, Link) other) {
	w := newWorld(t)
	links := w.plug(1, v4)
	ours := w.nodes[0].engine(realTimeConfig, links[0])
	o := start(w.nodes[1], links[1])
	// Its daemons take seconds to start, in which the link may be found to be silent.
	until(t, ours, Alive, Absent, Dead)
	they := func(want string) theirs {
		t.Helper()
		var s theirs
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if s = o.state(t); s.State == want {
				return s
			}
		}
		t.Fatalf("they are not %s: %+v", want, s)
		return s
	}
	they("up")
	time.Sleep(time.Second)

	// Timers: each sends as fast as it wants and the other bears.
	s, x := only(t, ours), they("up")
	if want := theirRx; s.Interval != want {
		t.Errorf("we send every %s, want %s", s.Interval, want)
	}
	if want := theirMultiplier * theirTx; s.DetectionTime != want {
		t.Errorf("we detect in %s, want %s", s.DetectionTime, want)
	}
	if x.RemoteMinTx != 0 && x.RemoteMinTx != DefaultInterval {
		t.Errorf("they heard that we send every %s, want %s", x.RemoteMinTx, DefaultInterval)
	}
	if want := DefaultMultiplier * theirRx; x.Detection != 0 && x.Detection != want {
		t.Errorf("they detect in %s, want %s", x.Detection, want)
	}
	if want := max(theirTx, DefaultInterval); x.Interval != 0 && x.Interval != want {
		t.Errorf("they send every %s, want %s", x.Interval, want)
	}
	if s.Dropped != 0 || s.Flaps != 0 {
		t.Errorf("not undisturbed: %+v", s)
	}
	// On a busy machine they may miss some packets; that makes no dead link.
	drain(t, ours, Alive, Absent)

	// We detect that nothing comes from them; they are told.
	cut := w.nodes[0].silence(1, true)
	ev, at := until(t, ours, Dead, Absent)
	if ev.Session.Diagnostic != diagExpired.String() {
		t.Errorf("our diagnostic is %q", ev.Session.Diagnostic)
	}
	x = they("down")
	t.Logf("we detect after %s; they: %+v", at.Sub(cut).Round(time.Millisecond), x)
	w.nodes[0].silence(1, false)
	until(t, ours, Alive, Absent)
	they("up")
	time.Sleep(time.Second)
	drain(t, ours, Alive, Absent) // they may be busy again

	// They detect that nothing comes from us; we are told.
	cut = w.nodes[1].silence(1, true)
	ev, at = until(t, ours, Dead, Absent)
	if ev.Session.Diagnostic != diagNeighborDown.String() || ev.Session.Said != diagExpired.String() {
		t.Errorf("our diagnostic is %q, theirs %q", ev.Session.Diagnostic, ev.Session.Said)
	}
	t.Logf("they detect, and we know after %s", at.Sub(cut).Round(time.Millisecond))
	they("down")
	w.nodes[1].silence(1, false)
	until(t, ours, Alive, Absent)
	they("up")
	time.Sleep(time.Second)
	drain(t, ours, Alive, Absent) // they may be busy again

	// We go down administratively, then they.
	ours.Hold(cableName(1), true)
	until(t, ours, Absent)
	x = they("down")
	t.Logf("held by us; they: %+v", x)
	ours.Hold(cableName(1), false)
	until(t, ours, Alive, Absent)
	they("up")
	says := o.shutdown(t, true)
	if ev, _ = until(t, ours, Absent); says && ev.Session.Remote != AdminDown {
		t.Errorf("they are down administratively, and we think: %+v", ev.Session)
	}
	o.shutdown(t, false)
	until(t, ours, Alive, Absent)
	they("up")
}

// folder makes a short-lived folder with a short name, for sockets.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bfd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func waitForFile(t testing.TB, path string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s does not appear", path)
}

type frr struct {
	dir     string
	link    Link
	daemons []*process // zebra, bfdd
}

func startFRR(t testing.TB, n *node, l Link) *frr {
	t.Helper()
	f := startDaemons(t, n, "bfd\n"+frrPeer(l, theirRx, theirTx, theirMultiplier))
	f.link = l
	return f
}

func frrPeer(l Link, rx, tx time.Duration, multiplier int) string {
	return fmt.Sprintf(" peer %s local-address %s interface %s\n  receive-interval %d\n  transmit-interval %d\n  detect-multiplier %d\n",
		l.Remote, l.Local, l.Name, rx.Milliseconds(), tx.Milliseconds(), multiplier)
}

// startDaemons starts zebra and bfdd with a configuration.
func startDaemons(t testing.TB, n *node, config string) *frr {
	t.Helper()
	f := &frr{dir: folder(t)}
	u, err := user.Lookup("frr")
	if err != nil {
		t.Skipf("FRR is not installed in full: %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for name, text := range map[string]string{"frr.conf": config, "empty.conf": "", "vtysh.conf": ""} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "frr.conf", "empty.conf", "vtysh.conf"} {
		if err := os.Chown(filepath.Join(f.dir, name), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"zebra", "bfdd"} {
		args := []string{"-u", "frr", "-g", "frr", "-z", f.dir + "/zserv.api", "-i", f.dir + "/" + d + ".pid",
			"--vty_socket", f.dir, "-f", f.dir + "/empty.conf", "--log", "file:" + f.dir + "/log", "-P", "0"}
		if d == "bfdd" {
			args = append(args, "--bfdctl", f.dir+"/bfdd.sock")
		}
		daemon := n.first(exec.Command("/usr/lib/frr/"+d, args...))
		f.daemons = append(f.daemons, daemon)
		t.Cleanup(func() { _ = os.Remove(fmt.Sprintf("/var/tmp/frr/%s.%d", d, daemon.cmd.Process.Pid)) }) // made for cores, and empty
		waitForFile(t, f.dir+"/"+d+".vty")
		if d == "zebra" {
			waitForFile(t, f.dir+"/zserv.api")
		}
	}
	f.vtysh(t, "-f", f.dir+"/frr.conf")
	return f
}

func (f *frr) vtysh(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("vtysh", append([]string{"--vty_socket", f.dir, "--config_dir", f.dir, "-H", "/dev/null"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(f.dir + "/log")
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, out, log)
	}
	return out
}

func (f *frr) state(t *testing.T) theirs {
	t.Helper()
	var peers []struct {
		Status         string
		Diagnostic     string
		Transmit       int `json:"transmit-interval"`
		RemoteTransmit int `json:"remote-transmit-interval"`
		Multiplier     int `json:"detect-multiplier"`
	}
	out := f.vtysh(t, "-c", "show bfd peers json")
	if err := json.Unmarshal(out, &peers); err != nil || len(peers) != 1 {
		t.Fatalf("FRR's peers: %v\n%s", err, out)
	}
	p := peers[0]
	s := theirs{State: p.Status, Diagnostic: p.Diagnostic, Multiplier: p.Multiplier}
	if s.State == "shutdown" {
		s.State = "admin-down"
	}
	s.RemoteMinTx = time.Duration(p.RemoteTransmit) * time.Millisecond
	return s
}

func (f *frr) shutdown(t *testing.T, down bool) bool {
	t.Helper()
	word := "no shutdown"
	if down {
		word = "shutdown"
	}
	f.vtysh(t, "-c", "configure terminal", "-c", "bfd",
		"-c", fmt.Sprintf("peer %s local-address %s interface %s", f.link.Remote, f.link.Local, f.link.Name), "-c", word)
	return true
}

type bird struct {
	dir  string
	link Link
}

func startBIRD(t *testing.T, n *node, l Link) *bird {
	t.Helper()
	b := &bird{dir: folder(t), link: l}
	config := fmt.Sprintf(`router id 10.0.0.1;
protocol device {}
protocol bfd watch {
	interface "tbt-*" { min rx interval %d ms; min tx interval %d ms; idle tx interval 1 s; multiplier %d; };
	neighbor %s dev "%s" local %s;
}
`, theirRx.Milliseconds(), theirTx.Milliseconds(), theirMultiplier, l.Remote, l.Name, l.Local)
	if err := os.WriteFile(b.dir+"/bird.conf", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(birdPath, "-f", "-c", b.dir+"/bird.conf", "-s", b.dir+"/bird.ctl", "-P", b.dir+"/bird.pid")
	cmd.Stderr = os.Stderr
	n.first(cmd)
	waitForFile(t, b.dir+"/bird.ctl")
	return b
}

func (b *bird) birdc(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(birdPath+"c", append([]string{"-s", b.dir + "/bird.ctl"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// A line of `show bfd sessions`: address, interface, state, since, interval, timeout.
var birdSession = regexp.MustCompile(`(?m)^(\S+)\s+(tbt-\S+)\s+(\S+)\s+\S+\s+([0-9.]+)\s+([0-9.]+)\s*$`)

func (b *bird) state(t *testing.T) theirs {
	t.Helper()
	out := b.birdc(t, "show", "bfd", "sessions")
	m := birdSession.FindStringSubmatch(out)
	if m == nil {
		return theirs{State: "admin-down"} // the protocol is disabled
	}
	if a, err := netip.ParseAddr(m[1]); err != nil || a != b.link.Remote {
		t.Fatalf("BIRD's session is with %s: %v\n%s", m[1], err, out)
	}
	seconds := func(s string) time.Duration {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("BIRD says %q: %v", out, err)
		}
		return time.Duration(f * float64(time.Second)).Round(time.Millisecond)
	}
	return theirs{State: strings.ToLower(m[3]), Interval: seconds(m[4]), Detection: seconds(m[5])}
}

// shutdown disables the protocol. BIRD 2.0 then just falls silent.
func (b *bird) shutdown(t *testing.T, down bool) bool {
	t.Helper()
	word := "enable"
	if down {
		word = "disable"
	}
	b.birdc(t, word, "watch")
	return false
}
