package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The files are read here by their real consumers: systemd-networkd, udevadm and
// systemd-sysctl. The test binary starts itself again in network, mount and PID
// namespaces of its own, where /sys, /run, /etc/systemd and /etc/sysctl.d are
// private, so that nothing of the machine is read, changed or left behind.

const (
	networkd = "/lib/systemd/systemd-networkd"
	sysctl   = "/lib/systemd/systemd-sysctl"
	inside   = "USB4MESH_RENDER_TEST_INSIDE"
)

// job tells the inner process what to do.
type job struct {
	Files    []File
	Ports    []string // veth interfaces to plug, in place of thunderbolt-net's
	Identity bool     // whether umesh0 is to be waited for
	Fake     []fakePort
}

// observed is what the inner process saw.
type observed struct {
	Error      string
	Log        string // of systemd-networkd
	LinkLog    string // of udevadm test-builtin net_setup_link, for each port and umesh0
	SysctlLog  string // of systemd-sysctl
	WaitOnline string // of systemd-networkd-wait-online: "" if it was content
	Plugged    kernelState
	Replugged  kernelState // after each port went away and came back
	Recovered  kernelState // after each port lost its carrier and got it back
	Aliases    map[string]string
	Renamed    map[string]ipLink // what udev made of thunderbolt0, thunderbolt1, ...
}

// kernelState is what iproute2 and /proc/sys show.
type kernelState struct {
	Links   []ipLink
	Routes  []ipRoute
	Rules   []ipRule
	Sysctls map[string]string
}

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		runInside()
		return
	}
	os.Exit(m.Run())
}

// inNamespace lets the real consumers read files and
// returns the kernel's state. It skips where that can't be done.
func inNamespace(t *testing.T, j job) observed {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a private /run and /etc/systemd for systemd-networkd")
	}
	for _, tool := range []string{networkd, sysctl, "udevadm", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (Debian: systemd, udev, iproute2)", tool)
		}
	}
	in, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin = bytes.NewReader(in)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL, // the PID namespace, and all in it, ends with its first process
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("needs namespaces: %v", err)
	}
	var o observed
	if jerr := json.Unmarshal(out, &o); err != nil || jerr != nil {
		t.Fatalf("inner process: %v, %v\n%s%s", err, jerr, out, stderr.String())
	}
	if strings.HasPrefix(o.Error, errOverlay) {
		t.Skip(o.Error)
	}
	if o.Error != "" {
		t.Fatalf("inner process: %s\n%s", o.Error, o.Log)
	}
	return o
}

func runInside() {
	var o observed
	if err := observe(&o); err != nil {
		o.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func observe(o *observed) error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	if err := privateMounts(j.Files); err != nil {
		return err
	}
	if len(j.Fake) > 0 {
		return o.observeUdev(j.Fake)
	}
	if _, err := run("ip", "link", "set", "dev", "lo", "up"); err != nil {
		return err
	}
	var log bytes.Buffer
	daemon := exec.Command(networkd)
	daemon.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=info", "SYSTEMD_LOG_TARGET=console")
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		daemon.Process.Kill()
		daemon.Wait()
		o.Log = log.String()
	}()

	all := slices.Clone(j.Ports)
	if j.Identity {
		all = append(all, "umesh0")
	}
	for _, port := range j.Ports {
		if err := o.plug(port); err != nil {
			return err
		}
	}
	if err := waitConfigured(all, 15*time.Second); err != nil {
		return err
	}
	if file := "/etc/sysctl.d/90-usb4mesh.conf"; fileExists(file) {
		out, err := run(sysctl, file) // the file alone, not the machine's
		if o.SysctlLog += out; err != nil {
			return err
		}
	}
	if j.Identity { // without it nothing counts for wait-online, and it waits in vain
		if out, err := run("/lib/systemd/systemd-networkd-wait-online", "--timeout=5"); err != nil {
			o.WaitOnline = err.Error() + out
		}
	}
	var err error
	if o.Plugged, err = readKernel(j.Files); err != nil {
		return err
	}
	for _, port := range j.Ports {
		if _, err := run("ip", "link", "delete", "dev", port); err != nil {
			return err
		}
		if err := o.plug(port); err != nil {
			return err
		}
		if err := waitConfigured(all, 15*time.Second); err != nil {
			return err
		}
	}
	if o.Replugged, err = readKernel(j.Files); err != nil {
		return err
	}
	for _, port := range j.Ports {
		before := addressCount(port)
		for _, step := range []struct {
			state string
			count int
		}{{"down", 0}, {"up", before}} {
			if _, err := run("ip", "link", "set", "dev", farEnd(port), step.state); err != nil {
				return err
			}
			for end := time.Now().Add(5 * time.Second); addressCount(port) != step.count; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					return fmt.Errorf("%s has %d addresses 5 s after its far end went %s, want %d", port, addressCount(port), step.state, step.count)
				}
			}
		}
		if err := waitConfigured(all, 15*time.Second); err != nil {
			return err
		}
	}
	if o.Recovered, err = readKernel(j.Files); err != nil {
		return err
	}

	// systemd 252 really applies what it tests, which is as well here.
	o.Aliases = map[string]string{}
	for _, name := range all {
		out, err := run("udevadm", "test-builtin", "net_setup_link", "/sys/class/net/"+name)
		if o.LinkLog += out; err != nil {
			return err
		}
		alias, err := os.ReadFile("/sys/class/net/" + name + "/ifalias")
		if err != nil {
			return err
		}
		o.Aliases[name] = strings.TrimSpace(string(alias))
	}
	return nil
}

// plug makes a port appear, with a cable whose far end nobody configures, and
// runs what 99-systemd.rules runs then.
func (o *observed) plug(port string) error {
	far := farEnd(port)
	if _, err := run("ip", "link", "add", "dev", port, "type", "veth", "peer", "name", far); err != nil {
		return err
	}
	out, err := run(sysctl, "--prefix=/net/ipv4/conf/"+port, "--prefix=/net/ipv4/neigh/"+port, "--prefix=/net/ipv6/conf/"+port, "--prefix=/net/ipv6/neigh/"+port)
	if o.SysctlLog += out; err != nil {
		return err
	}
	_, err = run("ip", "link", "set", "dev", far, "up")
	return err
}

// farEnd is the other end of the cable in a port.
func farEnd(port string) string { return "x" + strings.TrimPrefix(port, "tbt") }

// addressCount counts the IPv4 addresses of an interface, -1 if that fails.
func addressCount(port string) int {
	var links []ipLink
	if err := ipJSON(&links, "-4", "address", "show", "dev", port); err != nil {
		return -1
	}
	n := 0
	for _, l := range links {
		n += len(l.Addresses)
	}
	return n
}

func run(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// privateMounts gives this mount namespace its own view and puts the files there.
func privateMounts(files []File) error {
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"sysfs", "/sys", "sysfs", syscall.MS_RDONLY}, // read-only: networkd then does not wait for udev
		{"tmpfs", "/run", "tmpfs", 0},
		{"tmpfs", "/etc/systemd", "tmpfs", 0},
		{"tmpfs", "/etc/sysctl.d", "tmpfs", 0},
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for _, d := range []string{"links", "leases", "lldp"} {
		if err := os.MkdirAll("/run/systemd/netif/"+d, 0o777); err != nil {
			return err
		}
	}
	if out, err := exec.Command("chown", "-R", "systemd-network:", "/run/systemd/netif").CombinedOutput(); err != nil {
		return fmt.Errorf("chown: %w: %s", err, out)
	}
	for _, f := range files {
		path := "/" + f.Path
		if !strings.HasPrefix(path, "/etc/systemd/") && !strings.HasPrefix(path, "/etc/sysctl.d/") {
			continue // outside of what is private
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, os.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// waitConfigured waits until networkd says of each interface that it is done.
func waitConfigured(names []string, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		var missing []string
		for _, name := range names {
			index, err := os.ReadFile("/sys/class/net/" + name + "/ifindex")
			state, err2 := os.ReadFile("/run/systemd/netif/links/" + strings.TrimSpace(string(index)))
			if err != nil || err2 != nil || !strings.Contains(string(state), "ADMIN_STATE=configured") {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not configured after %v: %s", limit, strings.Join(missing, ", "))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// readKernel reads addresses, routes, rules and the kernel settings in files.
func readKernel(files []File) (kernelState, error) {
	var k kernelState
	if err := ipJSON(&k.Links, "-details", "address"); err != nil {
		return k, err
	}
	for _, family := range []string{"-4", "-6"} {
		var routes []ipRoute
		if err := ipJSON(&routes, family, "-details", "-N", "route", "show", "table", "all"); err != nil {
			return k, err
		}
		k.Routes = append(k.Routes, routes...)
		var rules []ipRule
		if err := ipJSON(&rules, family, "-N", "rule"); err != nil {
			return k, err
		}
		for i := range rules {
			rules[i].IPv6 = family == "-6"
		}
		k.Rules = append(k.Rules, rules...)
	}
	k.Sysctls = map[string]string{}
	for _, f := range files {
		if !strings.HasPrefix(f.Path, "etc/sysctl.d/") {
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			key, _, ok := strings.Cut(strings.TrimPrefix(line, "-"), " = ")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			value, err := os.ReadFile("/proc/sys/" + key)
			if err != nil {
				return k, err
			}
			k.Sysctls[key] = strings.TrimSpace(string(value))
		}
	}
	return k, nil
}

func ipJSON(into any, args ...string) error {
	out, err := exec.Command("ip", append([]string{"-j"}, args...)...).Output()
	if err != nil {
		return fmt.Errorf("ip %s: %w", strings.Join(args, " "), err)
	}
	return json.Unmarshal(out, into)
}

// The parts of iproute2's JSON that these tests look at.
type ipLink struct {
	Name      string   `json:"ifname"`
	Alias     string   `json:"ifalias"`
	MTU       int      `json:"mtu"`
	Flags     []string `json:"flags"`
	Addresses []struct {
		Family  string `json:"family"`
		Local   string `json:"local"`
		Address string `json:"address"` // the peer, if there is one
		Length  int    `json:"prefixlen"`
		Scope   string `json:"scope"`
		NoDAD   bool   `json:"nodad"`
	} `json:"addr_info"`
}

type ipRoute struct {
	Dst      string   `json:"dst"`
	Gateway  string   `json:"gateway"`
	Dev      string   `json:"dev"`
	Table    string   `json:"table"`
	Protocol string   `json:"protocol"`
	Scope    string   `json:"scope"`
	Source   string   `json:"prefsrc"`
	Metric   int      `json:"metric"`
	Flags    []string `json:"flags"`
}

type ipRule struct {
	IPv6     bool
	Priority int    `json:"priority"`
	Incoming string `json:"iif"`
	Table    string `json:"table"`
}
