package sysfs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/emulator/sysfs"
)

func TestParseAndFormat(t *testing.T) {
	const archive = "a comment\n-- t/h/sys/a --\n1\n-- t/h/sys/l@ --\n../x\n-- t/other/proc/b --\n\n-- t/h/sys/empty --\n"
	trees, comment := sysfs.Parse([]byte(archive))
	want := map[string]sysfs.Tree{
		"t/h":     {"sys/a": "1\n", "sys/l@": "../x\n", "sys/empty": ""},
		"t/other": {"proc/b": "\n"},
	}
	if d := cmp.Diff(want, trees); d != "" || comment != "a comment\n" {
		t.Error(comment, d)
	}
	again, _ := sysfs.Parse(sysfs.Format("t/h", "", trees["t/h"]))
	if d := cmp.Diff(trees["t/h"], again["t/h"]); d != "" {
		t.Error(d)
	}
	odd := string(sysfs.Format("t", "", sysfs.Tree{"sys/config": "\x86\x80", "sys/x": "y", "sys/trap": "-- sys/x --"}))
	for _, part := range []string{"(2 bytes that are no text)", "-- t/sys/x --\ny\n", "(11 bytes that are no text)"} {
		if !strings.Contains(odd, part) {
			t.Errorf("%q is not in %q", part, odd)
		}
	}
}

// machine is a tree with the host interface below the given bridges and an interface of the given name.
func machine(bridges, name, index string) sysfs.Tree {
	dir := "sys/devices/" + bridges + "/0000:c7:00.5/domain0/0-0/0-2/0-2.0/"
	up := strings.Repeat("../", strings.Count(dir, "/")+1)
	return sysfs.Tree{
		dir + "key":                             "network\n",
		dir + "driver@":                         strings.TrimPrefix(up, "../../") + "bus/thunderbolt/drivers/thunderbolt-net\n",
		dir + "net/" + name + "/uevent":         "INTERFACE=" + name + "\nIFINDEX=" + index + "\n",
		dir + "net/" + name + "/device@":        "../../../0-2.0\n",
		"sys/class/net/" + name + "@":           "../../devices/" + bridges + "/0000:c7:00.5/domain0/0-0/0-2/0-2.0/net/" + name + "\n",
		"sys/bus/pci/devices/0000:c7:00.5@":     "../../../devices/" + bridges + "/0000:c7:00.5\n",
		dir + "../wakeup/wakeup" + index + "/x": "1",
	}
}

func TestCanonical(t *testing.T) {
	a := sysfs.Canonical(machine("pci0000:00/0000:00:08.3", "thunderbolt0", "5"))
	b := sysfs.Canonical(machine("pci0000:c6/0000:c6:00.0/0000:01:00.0", "thunderbolt1", "5"))
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("what only place and name make different still is:\n%s", d)
	}
	c := sysfs.Canonical(machine("pci0000:00/0000:00:08.3", "thunderbolt0", "6"))
	got := sysfs.Diff(a, c)
	if len(got) != 1 || got[0].Kind != sysfs.OtherValue || !strings.HasSuffix(got[0].Path, "/uevent") {
		t.Errorf("another IFINDEX shows as %v", got)
	}
}

func TestDiff(t *testing.T) {
	got := sysfs.Diff(sysfs.Tree{"a": "1", "b": "1", "c": "1"}, sysfs.Tree{"a": "1", "b": "2", "d": "1"})
	want := []sysfs.Difference{
		{Kind: '~', Path: "b", Model: "1", Captured: "2"}, {Kind: '-', Path: "c", Model: "1"}, {Kind: '+', Path: "d", Captured: "1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestJudge(t *testing.T) {
	why, err := sysfs.ParseExplanations("# comment\n~ a/**/x\n\tOne\n\treason.\n+ a/*\n\tTwo.\n- never\n\tThree.\n")
	if err != nil {
		t.Fatal(err)
	}
	if why[0].Why != "One reason." {
		t.Errorf("the reason is %q", why[0].Why)
	}
	at := func(kind rune, path string) sysfs.Difference { return sysfs.Difference{Kind: kind, Path: path} }
	unexplained, idle := sysfs.Judge([]sysfs.Difference{
		at('~', "a/x"), at('~', "a/b/c/x"), at('+', "a/b"),
		at('+', "a/b/c"), at('-', "a/x"), at('~', "b/x"), at('~', "a/x/y"),
	}, why)
	if d := cmp.Diff([]sysfs.Difference{at('+', "a/b/c"), at('-', "a/x"), at('~', "b/x"), at('~', "a/x/y")}, unexplained); d != "" {
		t.Error(d)
	}
	if len(idle) != 1 || idle[0].Pattern != "never" {
		t.Errorf("idle: %v", idle)
	}
	for _, bad := range []string{"\tno pattern\n", "~ a\n", "? a\n\tx\n", "~ [\n\tx\n"} {
		if _, err := sysfs.ParseExplanations(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("c\n-- t/sys/a --\n1\n-- -- --\n"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		trees, _ := sysfs.Parse(archive)
		for name, tree := range trees {
			sysfs.Canonical(tree)
			if len(tree) == 0 {
				t.Errorf("tree %q is empty", name)
			}
		}
	})
}
