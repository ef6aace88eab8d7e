package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/cabling"
	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// writeHardware prints one machine: a line for every port, with what is behind it.
func writeHardware(out io.Writer, h mesh.Hardware, findings []finding.Finding) error {
	var t table
	t.row("%s: %s, kernel %s, %s, %s", cmp.Or(h.Node, "this machine"), cmp.Or(h.Machine, "machine unknown"), cmp.Or(h.Release, "unknown"),
		count(len(h.Controllers), "USB4 controller"), count(len(h.Links), "link"))
	t.end()
	if len(h.Controllers) == 0 {
		t.row("No USB4 or Thunderbolt controller was found. `usb4mesh diagnose` says what to look at.")
		return t.flush(out)
	}
	t.row("")
	t.row("  controller\tport\tpeer\tinterface\ttrained\tMTU\tcarrier")
	for _, c := range h.Controllers {
		rows := 0
		for _, l := range h.Links {
			if l.PCI == c.PCI {
				t.row("  %s\t%s", c.PCI, linkRow(l))
				rows++
			}
		}
		for _, p := range c.Ports {
			if slices.ContainsFunc(h.Links, func(l mesh.USB4Link) bool { return l.PCI == c.PCI && l.Port == p.Adapter }) {
				continue
			}
			state := "empty"
			if p.Link != "none" && p.Link != "" {
				state = "cable is in, no host answers"
			}
			t.row("  %s\t%d\t%s", c.PCI, p.Adapter, state)
			rows++
		}
		if rows == 0 {
			t.row("  %s\t-\t%s", c.PCI, map[bool]string{true: "no driver", false: "no peer"}[c.Domain < 0])
		}
	}
	t.end()
	for _, l := range h.Links {
		for _, remark := range remarks(l) {
			t.row("  %s: %s", cmp.Or(l.Interface, l.XDomain), remark)
		}
	}
	if err := t.flush(out); err != nil || len(findings) == 0 {
		return err
	}
	fmt.Fprintln(out)
	return printFindings(out, findings)
}

func linkRow(l mesh.USB4Link) string {
	carrier := "no"
	if l.Carrier {
		carrier = "yes"
	}
	trained := fmt.Sprintf("%d x %d = %d Gbit/s", min(l.RxLanes, l.TxLanes), min(l.RxSpeed, l.TxSpeed), l.Gbps())
	if l.Interface == "" {
		return fmt.Sprintf("%d\t%s\tnone\t%s", l.Port, cmp.Or(l.Peer.Name, "?"), trained)
	}
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%d\t%s", l.Port, cmp.Or(l.Peer.Name, "?"), l.Interface, trained, l.MTU, carrier)
}

// remarks are what the table has no column for.
func remarks(l mesh.USB4Link) []string {
	var out []string
	if s := cabling.SystemOf(l.Peer); s != "Linux" {
		out = append(out, fmt.Sprintf("the peer runs %s (%s)", s, l.Peer.Vendor))
	}
	if l.Hops > 0 {
		out = append(out, fmt.Sprintf("through %s", count(l.Hops, "hub")))
	}
	if l.RxLanes*l.RxSpeed != l.TxLanes*l.TxSpeed {
		out = append(out, fmt.Sprintf("asymmetric: %d Gbit/s in, %d out", l.RxLanes*l.RxSpeed, l.TxLanes*l.TxSpeed))
	}
	if l.Interface == "" {
		out = append(out, "no network interface; `usb4mesh diagnose` says why")
	}
	return out
}

// writeCabling prints who is cabled to whom, and how that differs from a plan.
func writeCabling(out io.Writer, c cabling.Cabling, against *cabling.Comparison, findings []finding.Finding) error {
	var names []string
	for _, h := range c.Machines {
		names = append(names, h.Node)
	}
	var t table
	t.row("%s (%s), %s", count(len(c.Machines), "machine"), strings.Join(names, ", "), count(len(c.Cables), "cable"))
	t.row("")
	t.end()
	for _, x := range c.Cables {
		a, b := x.Ends[0], x.Ends[1]
		t.row("  %s\t%s port %d\t%s\t<->\t%s\t%s port %d\t%s\t%d Gbit/s\t%s", a.Node, a.PCI, a.Port, a.Interface, b.Node, b.PCI, b.Port, b.Interface, x.Gbps, x.Confidence)
	}
	t.end()
	for _, x := range c.Cables {
		if x.Confidence != cabling.Certain {
			t.row("  %s - %s: %s, %s", x.Ends[0], x.Ends[1], x.Confidence, x.Evidence)
		}
	}
	for _, s := range c.Strangers {
		t.row("  %s\t%s port %d\t%s\t<->\t%q, %s, not among these machines", s.End.Node, s.End.PCI, s.End.Port, s.End.Interface, s.Peer.Name, s.System)
	}
	t.end()
	if err := t.flush(out); err != nil {
		return err
	}
	if len(findings) > 0 {
		fmt.Fprintln(out)
		if err := printFindings(out, findings); err != nil {
			return err
		}
	}
	if against == nil {
		return nil
	}
	return writeComparison(out, against)
}

func writeComparison(out io.Writer, c *cabling.Comparison) error {
	var t table
	t.row("")
	if len(c.Unseen) > 0 {
		t.row("Between machines that were not looked at: cable %s.", strings.Join(c.Unseen, ", "))
	}
	if c.Clean() {
		t.row("As planned: %s.", count(len(c.Good), "cable"))
		return t.flush(out)
	}
	t.row("Not as planned: %d of %s are right.", len(c.Good), count(len(c.Good)+len(c.Misplugs)+len(c.Missing), "cable"))
	if len(c.Moves) > 0 {
		t.row("To mend it:")
	}
	for i, m := range c.Moves {
		t.row("  %d. %s", i+1, m)
	}
	return t.flush(out)
}
