package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	affinity24 = "proc/irq/24/smp_affinity_list"
	affinity25 = "proc/irq/25/smp_affinity_list"
	latency    = "dev/cpu_dma_latency"
)

// machine is a model of one below a folder.
func machine(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"proc/sys/kernel/random/boot_id": "6b1f2a0c-1111-2222-3333-444455556666\n",
		affinity24:                       "0-15\n",
		affinity25:                       "0-15\n",
		latency:                          "",
	} {
		write(t, root, name, text)
	}
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func open(t *testing.T, root string) (*Tuner, *Journal) {
	t.Helper()
	j, err := OpenJournal(filepath.Join(root, "journal.json"), root)
	if err != nil {
		t.Fatal(err)
	}
	tuner := New(root, j)
	t.Cleanup(func() {
		if err := tuner.Close(); err != nil {
			t.Error(err)
		}
	})
	return tuner, j
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestInterruptsMoveAndComeBack(t *testing.T) {
	root := machine(t)
	tuner, _ := open(t, root)
	must(t, tuner.Apply(Wanted{Interrupts: map[int]string{24: "0-7", 25: "0-7", 99: "0-7"}, Latency: NoLatency}))
	if a, b := read(t, root, affinity24), read(t, root, affinity25); a != "0-7" || b != "0-7" {
		t.Errorf("interrupts at %q and %q", a, b)
	}
	must(t, tuner.Apply(Wanted{Interrupts: map[int]string{24: "0-3"}, Latency: NoLatency}))
	if a, b := read(t, root, affinity24), read(t, root, affinity25); a != "0-3" || b != "0-15" {
		t.Errorf("one is moved on, the other no longer wanted: %q and %q", a, b)
	}

	// The program dies. The next one knows what was at the very beginning.
	next, j := open(t, root)
	must(t, next.Undo())
	if a := read(t, root, affinity24); a != "0-15" {
		t.Errorf("the interrupt is at %q after all", a)
	}
	if left := j.values(); len(left) != 0 {
		t.Errorf("the journal still has %v", left)
	}
}

// Whoever sets a knob after us is left alone.
func TestOthersSettingsStay(t *testing.T) {
	root := machine(t)
	tuner, _ := open(t, root)
	must(t, tuner.Apply(Wanted{Interrupts: map[int]string{24: "0-7", 25: "0-7"}, Latency: NoLatency}))
	write(t, root, affinity24, "4\n")
	must(t, os.RemoveAll(filepath.Join(root, "proc/irq/25")))
	must(t, tuner.Undo())
	if a := read(t, root, affinity24); a != "4" {
		t.Errorf("what somebody else has set is %q now", a)
	}
}

// A knob that can't be turned does not keep the others from it, and is named.
func TestAKnobThatCantBeTurned(t *testing.T) {
	root := machine(t)
	must(t, os.Remove(filepath.Join(root, affinity24)))
	must(t, os.Mkdir(filepath.Join(root, affinity24), 0o700))
	must(t, os.Remove(filepath.Join(root, latency)))
	tuner, _ := open(t, root)
	err := tuner.Apply(Wanted{Interrupts: map[int]string{24: "0-7", 25: "0-7"}, Latency: 20})
	if err == nil || !strings.Contains(err.Error(), "/"+affinity24) || !strings.Contains(err.Error(), "latency of processors") {
		t.Errorf("error %v", err)
	}
	if a := read(t, root, affinity25); a != "0-7" {
		t.Errorf("the other is at %q", a)
	}
}

// Nothing is changed that could not be remembered.
func TestNoJournalNoChange(t *testing.T) {
	root := machine(t)
	folder := filepath.Join(root, "state")
	must(t, os.Mkdir(folder, 0o700))
	j, err := OpenJournal(filepath.Join(folder, "journal.json"), root)
	must(t, err)
	must(t, os.Remove(folder))
	if err := New(root, j).Apply(Wanted{Interrupts: map[int]string{24: "0-7"}, Latency: NoLatency}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if a := read(t, root, affinity24); a != "0-15" {
		t.Errorf("the interrupt is at %q", a)
	}
}

func TestLatencyIsHeld(t *testing.T) {
	root := machine(t)
	tuner, _ := open(t, root)
	for _, c := range []struct {
		want int
		file string // what has been written so far
		held bool
	}{
		{20, "\x14\x00\x00\x00", true}, {20, "\x14\x00\x00\x00", true}, {NoLatency, "\x14\x00\x00\x00", false}, {0, "\x00\x00\x00\x00", true},
	} {
		must(t, tuner.Apply(Wanted{Latency: c.want}))
		text, err := os.ReadFile(filepath.Join(root, latency))
		must(t, err)
		if string(text) != c.file || (tuner.held != nil) != c.held {
			t.Errorf("latency %d: the file has %x, held %t; want %x, %t", c.want, text, tuner.held != nil, c.file, c.held)
		}
	}
}

// The real file, which the kernel takes back when it is closed.
func TestRealLatency(t *testing.T) {
	const file = "/dev/cpu_dma_latency"
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	limit := func() int32 {
		var b [4]byte
		if _, err := f.ReadAt(b[:], 0); err != nil {
			t.Fatal(err)
		}
		return int32(b[0]) | int32(b[1])<<8 | int32(b[2])<<16 | int32(b[3])<<24
	}
	before := limit()
	if before < 1000 {
		t.Skipf("somebody holds a latency of %d µs already", before)
	}
	tuner := New("/", nil)
	must(t, tuner.hold(1000))
	if got := limit(); got != 1000 {
		t.Errorf("%d µs is held, want 1000", got)
	}
	must(t, tuner.Close())
	if got := limit(); got != before {
		t.Errorf("%d µs afterwards, want %d", got, before)
	}
}

func TestPlacement(t *testing.T) {
	hw := func(slow string, cpus ...string) mesh.Hardware {
		h := mesh.Hardware{Controllers: make([]mesh.Controller, 1), Host: mesh.HostFacts{EfficiencyCPUs: slow}}
		for i, c := range cpus {
			h.Controllers[0].Interrupts = append(h.Controllers[0].Interrupts, mesh.Interrupt{Number: 24 + i, CPUs: c})
		}
		return h
	}
	for _, c := range []struct {
		name string
		hw   mesh.Hardware
		want map[int]string
	}{
		{"all alike", hw("", "0-15"), nil},
		{"a hybrid", hw("8-15", "0-15", "4-9", "0-3,9", "0,2,4,8"), map[int]string{24: "0-7", 25: "4-7", 26: "0-3", 27: "0,2,4"}},
		{"only slow ones may, or fast ones do", hw("8-15", "8-11", "0-7"), map[int]string{25: "0-7"}},
		{"nonsense", hw("8-15", "x", "3-1", "", "0-99999999"), map[int]string{}},
		{"nonsense about the machine", hw("8--15", "0-15"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Placement(c.hw)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,8,10-11\n", "3-1", ",,", "-1", "1-", "16383", "16384"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		cpus, err := parseCPUs(list)
		if err != nil {
			return
		}
		again, err := parseCPUs(formatCPUs(cpus))
		if diff := cmp.Diff(cpus, again); err != nil || diff != "" {
			t.Errorf("%q is %v, formatted and read again %v, %v", list, cpus, again, err)
		}
	})
}

func TestJournalIsOfOneBoot(t *testing.T) {
	root := machine(t)
	tuner, _ := open(t, root)
	must(t, tuner.Apply(Wanted{Interrupts: map[int]string{24: "0-7"}, Latency: NoLatency}))
	stat, err := os.Stat(filepath.Join(root, "journal.json"))
	must(t, err)
	must(t, tuner.Apply(Wanted{Interrupts: map[int]string{24: "0-7"}, Latency: NoLatency}))
	if again, err := os.Stat(filepath.Join(root, "journal.json")); err != nil || !os.SameFile(stat, again) {
		t.Errorf("nothing new was written: %v", err)
	}
	_, j := open(t, root)
	if v := j.values(); len(v) != 1 || v[0].Was != "0-15" {
		t.Errorf("from the file came %v", v)
	}
	inNamespace(t, func() error {
		j, err := OpenJournal(filepath.Join(root, "journal.json"), root)
		if err == nil && j.values() != nil {
			err = fmt.Errorf("in another network namespace: %v", j.values())
		}
		return err
	})
	write(t, root, "proc/sys/kernel/random/boot_id", "another\n")
	_, j = open(t, root)
	if v := j.values(); v != nil {
		t.Errorf("after a reboot: %v", v)
	}
	must(t, j.Forget())
	must(t, j.Forget())
	entries, err := os.ReadDir(root)
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), "journal") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestJournalThatCantBeRead(t *testing.T) {
	root := machine(t)
	write(t, root, "journal.json", "{")
	if _, err := OpenJournal(filepath.Join(root, "journal.json"), root); err == nil || !strings.Contains(err.Error(), "journal.json") {
		t.Errorf("half a file: %v", err)
	}
	if got := read(t, root, "journal.json"); got != "{" {
		t.Errorf("it is %q now", got)
	}
	must(t, os.RemoveAll(filepath.Join(root, "proc")))
	if _, err := OpenJournal(filepath.Join(root, "other.json"), root); err == nil || !strings.Contains(err.Error(), "boot") {
		t.Errorf("no boot: %v", err)
	}
	tuner := New(root, &Journal{})
	if _, err := tuner.read(knob{Kind: "new"}); err == nil {
		t.Error("a kind of a later version is read")
	}
	if err := tuner.set(knob{Kind: "new"}, ""); err == nil {
		t.Error("a kind of a later version is set")
	}
}

// TestSegmentation turns the offload of a real interface off and gives back
// exactly what was on, also under another name.
func TestSegmentation(t *testing.T) {
	root := machine(t)
	inNamespace(t, func() error {
		if err := run("ip link add veth0 type veth peer name veth1"); err != nil {
			return err
		}
		if err := setSegmentation("veth0", "tx-tcp-segmentation,tx-tcp-ecn-segmentation"); err != nil {
			return err
		}
		before, err := segmentation("veth0")
		if err != nil || before != "tx-tcp-ecn-segmentation,tx-tcp-segmentation" {
			return fmt.Errorf("asked for two of the offloads: %q, %w", before, err)
		}
		other, err := segmentation("veth1")
		if err != nil {
			return err
		}
		index, err := os.ReadFile("/proc/thread-self/net/dev_snmp6/veth0")
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscanf(string(index), "ifIndex %d", &n); err != nil {
			return err
		}
		tuner, _ := open(t, root)
		for range 2 {
			if err := tuner.Apply(Wanted{NoSegmentation: []int{n, 4711}, Latency: NoLatency}); err != nil {
				return err
			}
			if now, err := segmentation("veth0"); err != nil || now != "" {
				return fmt.Errorf("with offload unwanted: %q, %w", now, err)
			}
		}
		if now, err := segmentation("veth1"); err != nil || now != other {
			return fmt.Errorf("of another interface: %q, %w", now, err)
		}
		if err := run("ip link set veth0 name veth9"); err != nil {
			return err
		}
		tuner, _ = open(t, root)
		if err := tuner.Undo(); err != nil {
			return err
		}
		if now, err := segmentation("veth9"); err != nil || now != before {
			return fmt.Errorf("given back: %q, want %q, %w", now, before, err)
		}
		if _, err := segmentation("nowhere"); err == nil {
			return errors.New("an interface that is not there has offloads")
		}
		return nil
	})
}

func run(command string) error {
	args := strings.Fields(command)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

// inNamespace runs f in a network namespace that ends with it.
func inNamespace(t *testing.T, f func() error) {
	t.Helper()
	made, done := make(chan error), make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		made <- err
		if err == nil {
			done <- f()
		}
	}()
	if err := <-made; errors.Is(err, unix.EPERM) {
		t.Skipf("needs root: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
