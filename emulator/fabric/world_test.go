package fabric_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usb4mesh/usb4mesh/emulator/drivertest"
	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a fabric with a scripted driver for every host interface.
type world struct {
	*fabric.Fabric
	t       testing.TB
	trace   *trace
	drivers map[string]*drivertest.Driver // "a/0"
}

// trace collects lines.
type trace struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *trace) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// build starts a fabric from YAML; training takes a millisecond unless the cable says more.
func build(t testing.TB, topology string) *world {
	t.Helper()
	parsed, err := fabric.ParseTopology([]byte(topology))
	if err != nil {
		t.Fatal(err)
	}
	for i := range parsed.Cables {
		if !strings.Contains(topology, "training") {
			parsed.Cables[i].Training = time.Millisecond
		}
	}
	dir, err := os.MkdirTemp("", "fabric") // t.TempDir is longer than the path of a socket may be
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, trace: &trace{}, drivers: map[string]*drivertest.Driver{}}
	w.Fabric, err = fabric.New(parsed, fabric.Options{Dir: dir, Trace: w.trace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range w.drivers {
			d.Close()
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("sockets left behind: %v, %v", left, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("trace:\n%s", w.trace)
		}
	})
	w.Start(t.Context())
	return w
}

// connect powers a host interface.
func (w *world) connect(host string, index int) *drivertest.Driver {
	w.t.Helper()
	d := drivertest.Connect(w.t, w.Sockets(host)[index].Path)
	w.drivers[fmt.Sprintf("%s/%d", host, index)] = d
	return d
}

const pair = `
hosts: [{name: a}, {name: b}]
cables: [{name: c, a: "a:1", b: "b:1"}]
`

// two starts the drivers of a and b at the ends of cable c, and waits for their link.
func two(t testing.TB, topology string) (w *world, a, b *drivertest.Driver) {
	t.Helper()
	w = build(t, topology)
	a, b = w.connect("a", 0), w.connect("b", 0)
	a.Start()
	b.Start()
	w.linked(a, b)
	return w, a, b
}

// linked waits until both drivers know of the link. Drivers reset their ports when they
// start, so that there may be several events.
func (w *world) linked(drivers ...*drivertest.Driver) {
	w.t.Helper()
	for _, d := range drivers {
		for d.Lane(d.Ports[0]).State != up {
			time.Sleep(time.Millisecond)
		}
	}
	for _, d := range drivers {
		if err := d.Plugged(d.Ports[0], true); err != nil {
			w.t.Fatal(err)
		}
		for {
			p, ok := d.Late()
			if !ok {
				break
			}
			if p.PDF != packet.Event {
				w.t.Fatalf("unexpected: %v", p)
			}
		}
	}
}

const up, unplugged = 2, 7 // states of lanes

// until waits for something that happens soon.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(drivertest.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %v", what, drivertest.Patience)
		}
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) cable(name string) fabric.CableStats {
	w.t.Helper()
	for _, c := range w.Stats().Cables {
		if c.Name == name {
			return c
		}
	}
	w.t.Fatalf("no cable %q", name)
	return fabric.CableStats{}
}
