package drivertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usb4mesh/usb4mesh/emulator/guest"
	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
	"github.com/usb4mesh/usb4mesh/emulator/scenario"
	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

const (
	clusterFile = "testdata/mesh.yaml"
	program     = "/bin/usb4mesh"
	there       = "/etc/usb4mesh/mesh.yaml"
	keyFile     = "/etc/usb4mesh/mesh.key"
)

// ring is the cabling that the cluster file plans.
var ring = []string{"n1:1-n2:2", "n2:1-n3:2", "n3:1-n1:2"}

// world is three machines that have our program and the cluster file, and nothing else.
type world struct {
	*scenario.World
	plan mesh.Plan
}

// long skips a test that `make test` has no time for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("USB4EMU_LEVEL") == "" {
		t.Skip("runs with USB4EMU_LEVEL=drivers, as make test-drivers does")
	}
}

// start boots the machines of the spec.
func start(t *testing.T, spec scenario.Spec) *world {
	t.Helper()
	src, err := os.ReadFile(clusterFile)
	if err != nil {
		t.Fatal(err)
	}
	cluster, fs := config.Parse(clusterFile, src)
	p, more := plan.Make(cluster)
	if fs = append(fs, more...); finding.HasErrors(fs) {
		t.Fatalf("%s: %v", clusterFile, fs)
	}
	binary, err := guest.Build(t.Context(), "github.com/usb4mesh/usb4mesh/cmd/usb4mesh")
	if err != nil {
		t.Fatal(err)
	}
	spec.Bare = true
	if spec.Modules == nil {
		spec.Modules = []string{"thunderbolt", "thunderbolt_net", "dummy", "nf_tables"}
	}
	spec.Files = append(spec.Files, guest.File{Path: program, Mode: 0o755, Data: binary}, guest.File{Path: there, Data: src},
		guest.File{Path: keyFile, Mode: 0o600, Data: []byte("c2l4dGVlbiBieXRlcyAxNg==\n")})
	w := &world{World: scenario.Start(t, spec), plan: p}
	w.address()
	return w
}

// address tells the scenario which addresses to ping.
func (w *world) address() {
	for _, h := range w.Hosts() {
		id := w.plan.Node(h.Name).Identity
		h.V4, h.V6 = id[0].String(), id[1].String()
	}
}

// port returns the port of a cable at a host, counting from 1.
func port(cable, host string) int {
	for side := range strings.SplitSeq(cable, "-") {
		if name, n, _ := strings.Cut(side, ":"); name == host {
			return int(n[0] - '0')
		}
	}
	panic("cable " + cable + " does not end at " + host)
}

// ends returns the two hosts of a cable.
func ends(cable string) [2]string {
	a, b, _ := strings.Cut(cable, "-")
	return [2]string{a[:strings.Index(a, ":")], b[:strings.Index(b, ":")]}
}

// appear waits until the driver has made the interfaces of a cable.
func (w *world) appear(cables ...string) {
	w.T.Helper()
	for _, c := range cables {
		for _, host := range ends(c) {
			w.Until("interface of "+c+" at "+host, 90*time.Second, func() error {
				_, err := w.Host(host).Interface(port(c, host))
				return err
			})
		}
	}
}

// works waits until a node reaches all others, and returns how long that took.
func (w *world) works() time.Duration {
	w.T.Helper()
	return w.Until("all pairs", 60*time.Second, func() error {
		for _, a := range w.Hosts() {
			for _, b := range w.Hosts() {
				if a == b {
					continue
				}
				for _, to := range []string{a.V4, a.V6} {
					p, err := b.Ping(w.T.Context(), wire.Ping{To: to, Count: 1, Wait: time.Second})
					if err == nil && p.Received == 0 {
						err = fmt.Errorf("%s does not reach %s (%s)", b.Name, a.Name, to)
					}
					if err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// once brings a node to the plan, without liveness and gossip.
func (w *world) once(hosts ...string) {
	w.T.Helper()
	for _, h := range hosts {
		r, err := w.Host(h).Machine.Run(w.T.Context(), program, "agent", "--once", "--config", there, "--node", h)
		if err != nil {
			w.T.Fatalf("%v: %s", err, r.Stderr)
		}
	}
}

// named checks that the interface of each cable has its planned name.
func (w *world) named(cables ...string) {
	w.T.Helper()
	for _, c := range cables {
		e := ends(c)
		for i, host := range e {
			if got, want := w.InterfaceOf(c, host).Name, "tbt-"+e[1-i]; got != want {
				w.T.Errorf("%s: the interface of %s is %s, want %s", host, c, got, want)
			}
		}
	}
}

// across are the probes that a cable's loss concerns: both directions.
func across(cable string) [][2]string {
	e := ends(cable)
	return [][2]string{{e[0], e[1]}, {e[1], e[0]}}
}

// worst returns the longest gap of some probes, and whose it was.
func worst(probes map[string]wire.Probed) (name string, longest time.Duration, lost, sent int) {
	names := make([]string, 0, len(probes))
	for n := range probes {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		p := probes[n]
		lost, sent = lost+p.Lost(), sent+p.Sent
		if name == "" || p.Longest() > longest {
			name, longest = n, p.Longest()
		}
	}
	return name, longest, lost, sent
}

// judge reports what probes lost, and fails if a gap was longer than limit.
func (w *world) judge(what string, probes map[string]wire.Probed, limit time.Duration) {
	w.T.Helper()
	name, longest, lost, sent := worst(probes)
	w.Report("%s: longest gap %d ms (%s), %d of %d probes lost", what, longest.Milliseconds(), name, lost, sent)
	if sent == 0 || sent == lost {
		w.T.Errorf("%s: %d probes sent, %d lost", what, sent, lost)
	}
	if longest > limit {
		w.T.Errorf("%s: %s lost %v in a row, the limit is %v", what, name, longest, limit)
	}
}

// answer runs our program in a guest and decodes the JSON that it prints. Exit code 4,
// problems found, is an answer.
func (w *world) answer(host string, into any, args ...string) []byte {
	w.T.Helper()
	r, err := w.Host(host).Machine.Run(w.T.Context(), append([]string{program}, args...)...)
	if err != nil && r.Code != 4 {
		w.T.Fatal(err)
	}
	if err := decode(r.Stdout, into); err != nil {
		w.T.Fatalf("%s: %s: %v", host, strings.Join(args, " "), err)
	}
	return r.Stdout
}

func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %s", err, data)
	}
	return nil
}

// keep writes a guest's file to the logs of the test.
func (w *world) keep(host, file string) {
	data, err := w.Host(host).ReadFile(context.Background(), file) // the test has ended
	if err == nil {
		err = os.WriteFile(path.Join(w.Logs, host+"-"+path.Base(file)), data, 0o644)
	}
	if err != nil {
		w.T.Logf("%s: %v", host, err)
	}
}
