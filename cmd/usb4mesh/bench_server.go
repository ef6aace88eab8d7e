package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/bench"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

func newBenchServerCommand() *cobra.Command {
	var (
		s       bench.Server
		bind    []string
		from    []string
		limit   time.Duration
		asJSON  bool
		hanging bool
	)
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Answer tests of this program and of iperf3",
		Long: `server answers tests until it is interrupted, one client at a time. It speaks the protocol
of iperf3, so iperf3 --client works against it too.

It listens on the identities of this machine in the mesh, the addresses of ` + mesh.IdentityInterface + `, and
nowhere else unless --bind says so.`,
		Example: `  usb4mesh bench server --bind 127.0.0.1 --port 5299 --limit 1s
  usb4mesh bench server --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if s.Bind, err = bindAddresses(bind); err != nil {
				return err
			}
			if s.Allow, err = allowed(from); err != nil {
				return err
			}
			ctx := cmd.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			if hanging {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
				go func() {
					_, _ = io.Copy(io.Discard, cmd.InOrStdin()) // its end is all we want
					cancel()
				}()
			}
			s.Event = func(e bench.Event) { sayEvent(cmd.ErrOrStderr(), e) }
			at, err := s.Listen(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if err := writeJSONLine(cmd.OutOrStdout(), map[string]any{"listening": at}); err != nil {
					return err
				}
			} else {
				for _, a := range at {
					fmt.Fprintf(cmd.OutOrStdout(), "listening on %s\n", a)
				}
			}
			err = s.Serve(ctx)
			if cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&bind, "bind", nil, "address to listen on (repeatable); default are the identities of this machine")
	f.Uint16Var(&s.Port, "port", bench.Port, "port; 0 lets the kernel choose")
	f.StringSliceVar(&from, "from", nil, "take tests only from this address or network (repeatable)")
	f.BoolVar(&s.Once, "once", false, "end after one test")
	f.DurationVar(&limit, "limit", 0, "end after this time, whatever happens")
	f.BoolVar(&hanging, "until-eof", false, "end when standard input ends, so that nothing outlives a broken ssh")
	f.BoolVar(&asJSON, "json", false, "print the listening addresses as a line of JSON")
	return cmd
}

func sayEvent(w io.Writer, e bench.Event) {
	switch {
	case e.Err != nil:
		fmt.Fprintln(w, e.Err)
	case e.Result != nil:
		fmt.Fprintf(w, "test of %s: %.3g Gbit/s %s\n", e.Client, e.Result.Gbps, e.Result.Protocol)
	}
}

// bindAddresses parses addresses, or finds the identities of this machine.
func bindAddresses(asked []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, text := range asked {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, usageError("--bind %s is not an IP address", text)
		}
		all = append(all, a)
	}
	if len(all) > 0 {
		return all, nil
	}
	i, err := net.InterfaceByName(mesh.IdentityInterface)
	if err != nil {
		return nil, usageError("this machine has no interface %s, so it has no identity in a mesh; name an address with --bind", mesh.IdentityInterface)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if p, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(p.IP); ok && !ip.Unmap().IsLinkLocalUnicast() {
				all = append(all, ip.Unmap())
			}
		}
	}
	if len(all) == 0 {
		return nil, usageError("interface %s has no address; name one with --bind", mesh.IdentityInterface)
	}
	return all, nil
}

// allowed returns the test for --from; nil allows everybody.
func allowed(from []string) (func(netip.Addr) bool, error) {
	if len(from) == 0 {
		return nil, nil
	}
	var nets []netip.Prefix
	for _, text := range from {
		if a, err := netip.ParseAddr(text); err == nil {
			nets = append(nets, mesh.HostPrefix(a))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usageError("--from %s is neither an IP address nor a network", text)
		}
		nets = append(nets, p)
	}
	return func(a netip.Addr) bool {
		for _, p := range nets {
			if p.Contains(a.Unmap()) {
				return true
			}
		}
		return false
	}, nil
}
