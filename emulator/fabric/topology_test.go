package fabric_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/emulator/fabric"
)

func TestTopology(t *testing.T) {
	got, err := fabric.ParseTopology([]byte(`
hosts:
  - {name: alpha}
  - {name: beta, model: intel, nhis: 2}
cables:
  - {a: "alpha:2", b: "beta:04"}
  - {name: slow, a: "alpha:1", b: "beta:1", lanes: 1, speed: 10, training: 2s, fault_b: silent latency=5ms, unplugged: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := fabric.Topology{
		Hosts: []fabric.Host{{Name: "alpha", Model: "amd", NHIs: 2, Ports: 1}, {Name: "beta", Model: "intel", NHIs: 2, Ports: 2}},
		Cables: []fabric.Cable{
			{Name: "alpha:2-beta:4", A: "alpha:2", B: "beta:4", Lanes: 2, Speed: 20, Training: 100 * time.Millisecond},
			{
				Name: "slow", A: "alpha:1", B: "beta:1", Lanes: 1, Speed: 10, Training: 2 * time.Second,
				FaultB: fabric.Fault{Silent: true, Latency: 5 * time.Millisecond}, Unplugged: true,
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topology (-want +got):\n%s", diff)
	}
	// JSON is a part of YAML.
	if _, err := fabric.ParseTopology([]byte(`{"hosts": [{"name": "a"}, {"name": "b"}], "cables": [{"a": "a:1", "b": "b:1"}]}`)); err != nil {
		t.Errorf("JSON: %v", err)
	}
}

func TestBadTopologies(t *testing.T) {
	hosts := "hosts: [{name: a}, {name: b}]\ncables: "
	for text, reason := range map[string]string{
		``:                                                "no documents",
		`hosts: []`:                                       "0 hosts",
		`hosts: [{name: a}, {name: a}]`:                   `"a" is there twice`,
		`hosts: [{model: amd}]`:                           "a name is missing",
		`hosts: [{name: "../a"}]`:                         "does not begin with a dot",
		`hosts: [{name: "a/b"}]`:                          "letters",
		`hosts: [{name: a, model: apple}]`:                `no model "apple", there are amd,`,
		`hosts: [{name: a, nhis: 9}]`:                     "9 host interfaces",
		`hosts: [{name: a, ports: 3}]`:                    "with 3 ports",
		`hosts: [{name: a, ports: -1}]`:                   "-1 ports",
		`hosts: [{name: a, colour: red}]`:                 "colour",
		hosts + `[{a: "a:1"}]`:                            `"": an end`,
		hosts + `[{a: "a:1", b: "b"}]`:                    `"b": an end`,
		hosts + `[{a: "a:1", b: "b:0"}]`:                  `"b:0": an end`,
		hosts + `[{a: "a:1", b: "b:3"}]`:                  "b has 2 ports",
		hosts + `[{a: "a:1", b: "c:1"}]`:                  "c has 0 ports",
		hosts + `[{a: "a:1", b: "a:1"}]`:                  `"a:1" is used`,
		hosts + `[{a: "a:1", b: "a:01"}]`:                 `"a:1" is used`,
		hosts + `[{a: "a:1", b: "b:1", lanes: 3}]`:        "3 lanes",
		hosts + `[{a: "a:1", b: "b:1", speed: 40}]`:       "40 Gb/s",
		hosts + `[{a: "a:1", b: "b:1", training: 1h}]`:    "training takes 1h",
		hosts + `[{a: "a:1", b: "b:1", fault_a: broken}]`: "broken",
		hosts + `[{name: x, a: "a:1", b: "b:1"}, {name: x, a: "a:2", b: "b:2"}]`: `"x" is there twice`,
		hosts + `[{name: ` + strings.Repeat("x", 99) + `, a: "a:1", b: "b:1"}]`:  "too long",
		`hosts: [{name: ` + strings.Repeat("x", 33) + `}]`:                       "at most 32",
		strings.Repeat("#", 1<<20+1):                                             "at most",
	} {
		_, err := fabric.ParseTopology([]byte(text))
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.80q: %v; expected %q in it", text, err, reason)
		}
	}
	path := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(path, []byte("hosts: [{name: a, nhis: 9}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fabric.ReadTopology(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// TestSockets: only the user may connect, what an earlier run left is replaced, a running
// fabric's sockets are not.
func TestSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "fabric")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	topology := fabric.Topology{Hosts: []fabric.Host{{Name: "a"}}}
	f, err := fabric.New(topology, fabric.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	sockets := f.Sockets("a")
	want := []fabric.Socket{
		{Path: filepath.Join(dir, "a-0.sock"), Address: "08.5", Model: "1022:1668"},
		{Path: filepath.Join(dir, "a-1.sock"), Address: "08.6", Model: "1022:1669"},
	}
	if diff := cmp.Diff(want, sockets); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(sockets[0].Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	if got := f.Sockets("b"); got != nil {
		t.Errorf("sockets of an unknown host: %v", got)
	}
	if _, err := fabric.New(topology, fabric.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another fabric") {
		t.Errorf("a second fabric in the same folder: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := fabric.New(topology, fabric.Options{Dir: filepath.Join(dir, "missing")}); err == nil {
		t.Error("a folder that is missing: no error")
	}
	if _, err := fabric.New(topology, fabric.Options{Dir: filepath.Join(dir, strings.Repeat("x", 120))}); err == nil || !strings.Contains(err.Error(), "107") {
		t.Errorf("a path that is too long: %v", err)
	}
	if _, err := fabric.New(fabric.Topology{}, fabric.Options{Dir: dir}); err == nil {
		t.Error("an empty topology: no error")
	}
}

// FuzzTopology reads whatever. What is accepted is complete: it is read again as the same,
// and within the limits.
func FuzzTopology(f *testing.F) {
	f.Add([]byte(pair))
	f.Add([]byte(`hosts: [{name: a, model: intel}]`))
	f.Add([]byte(`{"hosts": [{"name": "a", "ports": 2}], "cables": [{"a": "a:1", "b": "a:2", "fault_a": "flap=1s/2s"}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := fabric.ParseTopology(src)
		if err != nil {
			return
		}
		ports := 0
		for _, h := range got.Hosts {
			ports += h.NHIs * h.Ports
		}
		if len(got.Hosts) == 0 || 2*len(got.Cables) > ports || ports > 128*8 {
			t.Errorf("accepted: %+v", got)
		}
	})
}
