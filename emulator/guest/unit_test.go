package guest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"
)

func TestPlaces(t *testing.T) {
	amd := []NHI{{"/a", "1022:1668"}, {"/b", "1022:1669"}}
	intel := []NHI{{"/c", "8086:5781"}}
	for _, c := range []struct {
		name string
		nhis []NHI
		want []string // parts of the devices, in order
	}{
		{"none", nil, nil},
		{"AMD", amd, []string{"pxb-pcie", "pcie-root-port", `virtio-rng-pci,bus=c7,addr=00.0`, `"addr":"00.5","bus":"c7"`, `"addr":"00.6","bus":"c7"`}},
		{"Intel", intel, []string{`virtio-rng-pci,bus=pcie.0,addr=0d.0`, `"addr":"0d.2","bus":"pcie.0"`}},
		{"both", append(intel, amd...), []string{"addr=0d.0", `"path":"/c"`, "pxb-pcie", "pcie-root-port", "bus=c7", `"path":"/a"`, `"path":"/b"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := places(c.nhis)
			if len(args) != 2*len(c.want) {
				t.Fatalf("%d devices, want %d: %v", len(args)/2, len(c.want), args)
			}
			for i, want := range c.want {
				if args[2*i] != "-device" || !strings.Contains(args[2*i+1], want) {
					t.Errorf("device %d is %q, want %q in it", i, args[2*i+1], want)
				}
			}
		})
	}
}

func TestComplaint(t *testing.T) {
	for log, want := range map[string]string{
		"[    1.0] thunderbolt 0000:00:01.0: device links to tunneled native ports are missing!\n": "",
		"[    1.0] x\n[    2.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1\n":                      "[    2.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1",
		"BUG: unable to handle page fault\nOops: 0000 [#1]\n":                                      "BUG: unable to handle page fault",
		"Kernel panic - not syncing: Attempted to kill init!":                                      "Kernel panic - not syncing: Attempted to kill init!",
		"usb4emu init: mount proc on /proc: busy\n":                                                "usb4emu init: mount proc on /proc: busy",
		"unregister_netdevice: waiting for thunderbolt0 to become free. Usage count = 2\n":         "unregister_netdevice: waiting for thunderbolt0 to become free. Usage count = 2",
	} {
		if got := complaint(log); got != want {
			t.Errorf("complaint(%q) = %q, want %q", log, got, want)
		}
	}
}

func TestWantedOfKernel(t *testing.T) {
	const dir = "usr/lib/modules/6.12.1-amd64/"
	for path, want := range map[string]bool{
		"boot/vmlinuz-6.12.1-amd64":                                  true,
		"boot/config-6.12.1-amd64":                                   false,
		dir + "vmlinuz":                                              true,
		dir + "modules.builtin":                                      true,
		dir + "kernel/drivers/thunderbolt/thunderbolt.ko.xz":         true,
		dir + "kernel/drivers/net/thunderbolt/thunderbolt_net.ko.xz": true,
		dir + "kernel/drivers/net/thunderbolt-net.ko":                true,
		dir + "kernel/drivers/net/dummy.ko.xz":                       true,
		dir + "kernel/drivers/net/wireless/x.ko.xz":                  false,
		dir + "kernel/drivers/gpu/drm/x.ko.xz":                       false,
		dir + "kernel/net/netfilter/nf_tables.ko.xz":                 true,
	} {
		if got := wantedOfKernel(path); got != want {
			t.Errorf("wantedOfKernel(%q) = %v", path, got)
		}
	}
}

// moduleFile makes an ELF file with nothing but the section .modinfo, of 64 bits, little-endian.
func moduleFile(info string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	put([]uint16{1, 62})                                     // relocatable, x86-64
	put(uint32(1))                                           // version
	put([]uint64{0, 0, uint64(64 + len(info) + len(names))}) // no entry, no program headers, section headers
	put(uint32(0))
	put([]uint16{64, 0, 0, 64, 3, 2})
	b.WriteString(info + names)
	section := func(name, kind uint32, offset, size int) {
		put([]uint32{name, kind})
		put([]uint64{0, 0, uint64(offset), uint64(size)})
		put([]uint32{0, 0})
		put([]uint64{1, 0})
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b.Bytes()
}

func TestModules(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "usr/lib/modules/1-x")
	var packed bytes.Buffer
	z, err := xz.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(moduleFile("license=GPL\x00depends=mid\x00")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"modules.builtin":        []byte("kernel/drivers/built-in.ko\n"),
		"kernel/a/top-one.ko.xz": packed.Bytes(),
		"kernel/b/mid.ko":        moduleFile("depends=low,built_in\x00"),
		"kernel/c/low.ko":        moduleFile("depends=\x00"),
		"kernel/d/orphan.ko":     moduleFile("depends=lost\x00"),
		"kernel/e/broken.ko":     []byte("no module"),
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := modulesIn(dir, "1-x")
	if err != nil {
		t.Fatal(err)
	}
	all, err := m.Load("top_one", "built-in", "low")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range all {
		got = append(got, x.Name)
	}
	if d := cmp.Diff([]string{"low", "mid", "top_one"}, got); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{"orphan": "lost, which orphan needs", "none": "none", "broken": "broken.ko"} {
		if _, err := m.Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%q): %v, want %q in it", name, err, want)
		}
	}
	if !m.Has("built-in") || !m.Has("top-one") || m.Has("none") {
		t.Error("Has is wrong")
	}
}
