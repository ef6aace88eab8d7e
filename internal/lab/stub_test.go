package lab

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/usb4mesh/usb4mesh/internal/config"
	"github.com/usb4mesh/usb4mesh/internal/hw"
	"github.com/usb4mesh/usb4mesh/internal/kernel"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/plan"
)

// stub plays the agent in tests of the lab itself: it names what is plugged, keeps
// the kernel as planned, and answers. It knows nothing of liveness, gossip or cables
// that are gone, so the plan's own tables are all it ever installs.
type stub struct {
	name   string
	root   string
	kernel *kernel.Kernel
	plan   mesh.Plan

	mu     sync.Mutex
	status mesh.Status
}

// stubMain is the main function of a stub.
func stubMain(args []string) int {
	f := flag.NewFlagSet("agent", flag.ContinueOnError)
	cleanup := f.Bool("cleanup", false, "")
	file, node, root := f.String("config", "", ""), f.String("node", "", ""), f.String("root", "", "")
	socket, _, _ := f.String("socket", "", ""), f.String("state", "", ""), f.String("key", "", "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := &stub{name: *node, root: *root}
	err := s.prepare(*file)
	switch {
	case err != nil:
	case *cleanup:
		_, err = kernel.Converge(ctx, s.kernel, mesh.State{})
	default:
		err = s.run(ctx, *socket)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (s *stub) prepare(file string) (err error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c, _ := config.Parse(file, src)
	s.plan, _ = plan.Make(c)
	s.status = mesh.Status{Node: s.name, State: mesh.StateStarting}
	for _, cable := range s.plan.Cables {
		s.status.Cables = append(s.status.Cables, mesh.CableStatus{Cable: cable.Name, Usable: true})
	}
	s.kernel, err = kernel.Open()
	return err
}

func (s *stub) run(ctx context.Context, socket string) error {
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/status.json", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.status)
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "go_goroutines 7") })
	go func() { _ = http.Serve(l, mux) }()
	for ctx.Err() == nil {
		state, why := mesh.StateConverged, ""
		if err := s.turn(ctx); err != nil {
			state, why = mesh.StateFailed, err.Error()
		}
		s.mu.Lock()
		s.status.State, s.status.Why = state, why
		s.mu.Unlock()
		_ = sleep(ctx, 20*time.Millisecond)
	}
	return nil
}

// turn names the interfaces after the peers seen behind the planned ports, and
// converges.
func (s *stub) turn(ctx context.Context) error {
	root, err := hw.Open(s.root)
	if err != nil {
		return err
	}
	defer root.Close()
	machine, fs := hw.Scan(root)
	if len(fs) > 0 {
		fmt.Fprintln(os.Stderr, fs)
	}
	n := s.plan.Node(s.name)
	for _, u := range machine.Links {
		for _, l := range n.Links {
			if pciOf(l.Port) != u.PCI || l.Port.Adapter != 0 && l.Port.Adapter != u.Port || u.Peer.Name != l.Peer || u.Interface == l.Interface {
				continue
			}
			if link, err := netlink.LinkByName(u.Interface); err == nil && link.Attrs().HardwareAddr.String() == u.MAC {
				if err := netlink.LinkSetName(link, l.Interface); err != nil {
					return err
				}
			}
		}
	}
	want := n.Want(s.plan.Mesh, s.plan.MTU)
	for i := range want.Links {
		if want.Links[i].Kind == mesh.KindDummy {
			want.Links[i].Kind = mesh.KindBridge
		}
	}
	if _, err := os.Stat("/proc/sys/net/ipv4/neigh/lo/retrans_time_ms"); err != nil {
		want.Sysctls = slices.DeleteFunc(want.Sysctls, func(c mesh.Sysctl) bool { return strings.Contains(c.Path, "/neigh/") })
	}
	_, err = kernel.Converge(ctx, s.kernel, want)
	return err
}
