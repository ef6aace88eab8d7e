// Command usb4emu emulates USB4 host routers and the cables between them, for virtual
// machines that QEMU connects to its sockets with vfio-user-pci.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/usb4mesh/usb4mesh/emulator/control"
	"github.com/usb4mesh/usb4mesh/emulator/fabric"
	"github.com/usb4mesh/usb4mesh/emulator/identity"
)

const usage = `usb4emu emulates USB4 host routers and cables for virtual machines.

  usb4emu run [-dir DIR] [-trace FILE] TOPOLOGY   serve the sockets until interrupted
  usb4emu ctl [-dir DIR] REQUEST...               steer a running fabric:
        plug CABLE | unplug CABLE | replug CABLE PAUSE
        fault CABLE END|both WORDS... | clear | power HOST on|off
        sockets HOST | stats
  usb4emu models                                  the machines that can be emulated

TOPOLOGY is a file in YAML or JSON, e.g.

  hosts:
    - {name: alpha, model: amd}
    - {name: beta, model: intel}
  cables:
    - {a: "alpha:1", b: "beta:2"}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "usb4emu:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet("usb4emu", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() { fmt.Fprint(errs, usage) }
	dir := flags.String("dir", "usb4emu.run", "")
	trace := flags.String("trace", "", "")
	if len(args) == 0 {
		flags.Usage()
		return errors.New("a verb is missing")
	}
	verb := args[0]
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch verb {
	case "run":
		if flags.NArg() != 1 {
			return errors.New("run takes one topology file")
		}
		return serve(ctx, flags.Arg(0), *dir, *trace, out, errs)
	case "ctl":
		return steer(ctx, *dir, flags.Args(), out)
	case "models":
		return models(out)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage)
		return nil
	}
	return fmt.Errorf("no verb %q: there are run, ctl, models, help", verb)
}

func controlSocket(dir string) string { return filepath.Join(dir, "control.sock") }

// serve runs a fabric until ctx ends.
func serve(ctx context.Context, file, dir, traceFile string, out, errs io.Writer) (err error) {
	topology, err := fabric.ReadTopology(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	options := fabric.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(errs, nil))}
	if traceFile == "-" {
		options.Trace = out
	} else if traceFile != "" {
		f, err := os.Create(traceFile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		options.Trace = f
	}
	f, err := fabric.New(topology, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	path := controlSocket(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	f.Start(ctx)
	table := tabwriter.NewWriter(errs, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tFUNCTION\tADDRESS\tSOCKET")
	for _, h := range f.Stats().Hosts {
		for _, s := range f.Sockets(h.Name) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", h.Name, s.Model, s.Address, s.Path)
		}
	}
	fmt.Fprintf(table, "\t\tcontrol\t%s\n", path)
	if err := table.Flush(); err != nil {
		return err
	}
	return control.Serve(ctx, l, f)
}

// steer sends one request to a running fabric and prints the answer.
func steer(ctx context.Context, dir string, words []string, out io.Writer) error {
	result, err := control.Ask(ctx, controlSocket(dir), words...)
	if err != nil || len(result) == 0 {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, result, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, text.String())
	return err
}

func models(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range identity.Models() {
		m, _ := identity.Lookup(name)
		fmt.Fprintf(table, "%s\t%s\n", name, m.About)
	}
	return table.Flush()
}
