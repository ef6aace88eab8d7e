package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/usb4mesh/usb4mesh/internal/agent"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
	"github.com/usb4mesh/usb4mesh/internal/status"
)

func newAgentCommand() *cobra.Command {
	var o agent.Options
	var socket, listen string
	var debug, cleanup bool
	cmd := &cobra.Command{
		Use:     "agent",
		GroupID: "run",
		Short:   "Keep this machine's part of the mesh as planned",
		Long: `agent names, addresses and routes the ports of this machine as the cluster file plans it, and
keeps it so: cables that come and go, links that die silently (found by BFD), cuts elsewhere
that the other nodes tell of, and whatever another program takes away. A dead link is left at
once, then the routes of all nodes are computed anew for the cabling that is left. What carries
nothing is healed step by step, or the agent says which cable to replug.

It needs CAP_NET_ADMIN and CAP_NET_RAW, runs in the foreground and logs to stderr. SIGHUP makes
it read the cluster file and the keys again; a file with errors is not used. When it ends, routes stay;
--cleanup takes away what it has made, and gives settings and names back.`,
		Example: `  usb4mesh agent --config /etc/usb4mesh/mesh.yaml
  usb4mesh agent --config mesh.yaml --node 01 --once
  usb4mesh agent --cleanup`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Version, o.Log = versionText(), agentLog(cmd.ErrOrStderr(), debug)
			if cleanup {
				return agent.Cleanup(cmd.Context(), o)
			}
			return runAgent(cmd, o, socket, listen)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Config, "config", agent.DefaultConfig, "cluster file")
	f.StringVar(&o.Node, "node", "", "name of this machine in the cluster file (its host name if not given)")
	f.StringVar(&o.Key, "key", "", "file with the keys of gossip, the same on every node (as the cluster file says if not given)")
	f.StringVar(&o.State, "state", agent.DefaultState, "folder for what outlives the agent")
	f.StringVar(&socket, "socket", agent.DefaultSocket, "unix socket for `usb4mesh status`; \"\" for none")
	f.StringVar(&listen, "listen", "", "address of /metrics, /healthz and /status.json (as the cluster file says if not given); none for none")
	f.BoolVar(&o.Once, "once", false, "bring the kernel to the plan once, then end")
	f.BoolVar(&cleanup, "cleanup", false, "leave the kernel as it was before the agent's first start, then end")
	f.BoolVar(&debug, "debug", false, "log every change")
	rootFlag(cmd, &o.Root)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.MarkFlagFilename("key")
	_ = cmd.MarkFlagDirname("state")
	return cmd
}

func runAgent(cmd *cobra.Command, o agent.Options, socket, listen string) error {
	server := &statusServer{socket: socket, flag: listen, log: o.Log}
	o.Reloaded = server.listen
	a, err := agent.New(o)
	var bad *agent.ErrConfig
	if errors.As(err, &bad) {
		if err := printFindings(cmd.ErrOrStderr(), bad.Findings); err != nil {
			return err
		}
		return &exitError{code: exitFile}
	}
	if err != nil {
		return err
	}
	if !o.Once {
		server.open(a)
		defer server.close()
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	go func() {
		for {
			select {
			case <-hup:
				a.Reload()
			case <-ctx.Done():
				return
			}
		}
	}()
	return a.Run(ctx)
}

// defaultListen is where monitoring finds the agent unless the cluster file or a flag
// says otherwise: on this machine only.
const defaultListen = "127.0.0.1:9469"

// statusServer serves the status on the socket and on an address. One that is taken
// keeps no network from working: the agent then goes on without.
type statusServer struct {
	agent        *agent.Agent
	log          *slog.Logger
	socket, flag string
	local, http  *status.Server
	address      string // of http
}

func (s *statusServer) open(a *agent.Agent) {
	s.agent = a
	if s.socket != "" {
		s.local = s.serve(status.Options{Socket: s.socket})
	}
	s.listen(a.Settings())
}

// listen serves on the address of the settings, or of the flag.
func (s *statusServer) listen(settings mesh.AgentSettings) {
	address := cmp.Or(s.flag, settings.Metrics, defaultListen)
	if s.agent == nil || address == s.address {
		return
	}
	s.end(s.http)
	s.http, s.address = nil, address
	if address != "none" {
		s.http = s.serve(status.Options{Listen: address})
	}
}

func (s *statusServer) serve(o status.Options) *status.Server {
	o.Source, o.Log = s.agent, s.log
	server, err := status.Open(o)
	if err != nil {
		s.log.Error("status is not served", "socket", o.Socket, "listen", o.Listen, "error", err)
		return nil
	}
	return server
}

func (s *statusServer) close() { s.end(s.http); s.end(s.local) }

func (s *statusServer) end(server *status.Server) {
	if server == nil {
		return
	}
	if err := server.Close(); err != nil {
		s.log.Warn("the status server did not close well", "error", err)
	}
}

// agentLog logs key and value; journald stamps the time itself.
func agentLog(w io.Writer, debug bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if debug {
		o.Level = slog.LevelDebug
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		}
	}
	return slog.New(slog.NewTextHandler(w, o))
}
