package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	Files []File
	Ports []string // veth interfaces to plug, in place of thunderbolt-net's
}

// observed is what the inner process saw.
type observed struct {
	Error      string
	Log        string // of systemd-networkd
	LinkLog    string // of udevadm test-builtin net_setup_link, for each interface
	SysctlLog  string // of systemd-sysctl
	WaitOnline string // of systemd-networkd-wait-online: "" if it came back at once
	Links      []ipLink
	Routes     []ipRoute
	Rules      []ipRule
	Sysctls    map[string]string
}

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		runInside()
		return
	}
	os.Exit(m.Run())
}

// inNamespace renders nothing: it lets the real consumers read files and
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
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
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
	run := func(args ...string) (string, error) {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return string(out), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
		return string(out), nil
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
	stop := func() {
		daemon.Process.Kill()
		daemon.Wait()
		o.Log = log.String()
	}
	for i, p := range j.Ports {
		far := fmt.Sprint("far", i)
		if _, err := run("ip", "link", "add", "dev", p, "type", "veth", "peer", "name", far); err != nil {
			stop()
			return err
		}
		// What 99-systemd.rules runs when an interface appears.
		out, err := run(sysctl, "--prefix=/net/ipv4/conf/"+p, "--prefix=/net/ipv4/neigh/"+p, "--prefix=/net/ipv6/conf/"+p, "--prefix=/net/ipv6/neigh/"+p)
		o.SysctlLog += out
		if err != nil {
			stop()
			return err
		}
		if _, err := run("ip", "link", "set", "dev", far, "up"); err != nil {
			stop()
			return err
		}
	}
	out, err := run(sysctl, "/etc/sysctl.d/90-usb4mesh.conf") // the file alone, not the machine's
	o.SysctlLog += out
	if err == nil {
		err = waitConfigured(append(j.Ports, "umesh0"), 15*time.Second)
	}
	if err == nil {
		out, werr := run("/lib/systemd/systemd-networkd-wait-online", "--timeout=3")
		if werr != nil {
			o.WaitOnline = werr.Error() + out
		}
		err = readKernel(o, j.Files)
	}
	stop()
	if err != nil {
		return err
	}
	// Systemd 252 really applies what it tests, which is as well here.
	for _, l := range o.Links {
		out, err := run("udevadm", "test-builtin", "net_setup_link", "/sys/class/net/"+l.Name)
		o.LinkLog += out
		if err != nil {
			return err
		}
	}
	return ipJSON(&o.Links, "-details", "address")
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
func readKernel(o *observed, files []File) error {
	if err := ipJSON(&o.Links, "-details", "address"); err != nil {
		return err
	}
	for _, family := range []string{"-4", "-6"} {
		var routes []ipRoute
		if err := ipJSON(&routes, family, "-details", "-N", "route", "show", "table", "all"); err != nil {
			return err
		}
		o.Routes = append(o.Routes, routes...)
		var rules []ipRule
		if err := ipJSON(&rules, family, "-N", "rule"); err != nil {
			return err
		}
		for i := range rules {
			rules[i].Family = family
		}
		o.Rules = append(o.Rules, rules...)
	}
	o.Sysctls = map[string]string{}
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
				return err
			}
			o.Sysctls[key] = strings.TrimSpace(string(value))
		}
	}
	return nil
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
	Family   string `json:"-"`
	Priority int    `json:"priority"`
	Incoming string `json:"iif"`
	Table    string `json:"table"`
}
