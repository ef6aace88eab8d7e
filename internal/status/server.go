package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Source is what a server serves. All methods are called from many goroutines.
type Source interface {
	Status() mesh.Status // cheap; nobody changes what it returned
	// Subscribe returns a channel that gets a value soon after the status has
	// changed, the first at once, and is closed when ctx ends.
	Subscribe(ctx context.Context) <-chan struct{}
	Healthy() error // nil while the loop turns
}

// Options of a server. Socket, Listen or both are given.
type Options struct {
	Source Source
	Socket string // path of the unix socket; its folder is made if it is missing
	Group  string // who else but the owner may use the socket; "" for DefaultGroup, if there is such a group
	Listen string // host:port of the HTTP address, such as 127.0.0.1:9469
	MaxAge time.Duration
	Log    *slog.Logger // nil discards

	bounds bounds // zero values for those of usual
}

const (
	// DefaultGroup may use the socket if nothing else is said.
	DefaultGroup = "usb4mesh"
	// DefaultMaxAge is how old the last turn may be before /healthz complains. A
	// driver that holds the kernel's lock for ten seconds is no reason yet.
	DefaultMaxAge = 30 * time.Second
)

// bounds hold whoever connects. What is served is some kilobytes.
type bounds struct {
	connections int           // of each listener
	patience    time.Duration // for a request to come in, and for an answer to go out
	idle        time.Duration // between two requests of a connection
	gap         time.Duration // between two events, at least
	heartbeat   time.Duration // between two events, at most, so that the reader knows we live
}

var usual = bounds{connections: 32, patience: 10 * time.Second, idle: time.Minute, gap: 100 * time.Millisecond, heartbeat: 5 * time.Second}

const maxHeader = 8 << 10

// Server answers until it is closed.
type Server struct {
	options Options
	metrics *collector
	servers []*http.Server
	address net.Addr // of Listen
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Open binds what the options name and serves it in the background. An address
// or a socket that can't be had is an error, and then nothing is bound.
func Open(o Options) (*Server, error) {
	if o.Socket == "" && o.Listen == "" {
		return nil, errors.New("status: neither a socket nor an address is named")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.bounds == (bounds{}) {
		o.bounds = usual
	}
	s := &Server{options: o, metrics: newCollector(o.Source)}
	var tcp, socket net.Listener
	var err error
	if o.Listen != "" {
		if tcp, err = net.Listen("tcp", o.Listen); err != nil {
			return nil, fmt.Errorf("status address %s: %w", o.Listen, err)
		}
		s.address = tcp.Addr()
	}
	if o.Socket != "" {
		if socket, err = listenUnix(o.Socket, o.Group, o.Log); err != nil {
			if tcp != nil {
				_ = tcp.Close()
			}
			return nil, fmt.Errorf("status socket %s: %w", o.Socket, err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	public := s.handler()
	if tcp != nil {
		s.serve(ctx, tcp, public)
	}
	if socket != nil {
		local := http.NewServeMux()
		local.Handle("/", public)
		local.HandleFunc("GET /events", s.events)
		if r, ok := o.Source.(Rebooter); ok {
			s.serveReboot(local, r)
		}
		s.serve(ctx, socket, local)
	}
	s.done.Go(func() { s.metrics.follow(ctx) })
	return s, nil
}

// Address returns where Listen was bound, nil without one. It tells the port of
// an address that ends in :0.
func (s *Server) Address() net.Addr { return s.address }

// Close ends all connections and removes the socket.
func (s *Server) Close() error {
	s.stop()
	var err error
	for _, h := range s.servers {
		err = errors.Join(err, h.Close())
	}
	s.done.Wait()
	return err
}

// serve answers on l. Requests end with ctx.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.options.bounds.patience,
		ReadTimeout:       s.options.bounds.patience,
		WriteTimeout:      s.options.bounds.patience,
		IdleTimeout:       s.options.bounds.idle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	s.servers = append(s.servers, server)
	s.done.Go(func() {
		if err := server.Serve(limit(l, s.options.bounds.connections)); !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Error("the status server ended", "address", l.Addr().String(), "error", err)
		}
	})
}

// handler serves what everybody who reaches the server may see.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		s.write(json.NewEncoder(w).Encode(s.options.Source.Status()))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		text, ok := s.health(time.Now())
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, err := fmt.Fprintln(w, text)
		s.write(err)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry(), promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		Timeout:             s.options.bounds.patience,
	}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, err := fmt.Fprint(w, "usb4mesh agent: /status.json /healthz /metrics\n")
		s.write(err)
	})
	return mux
}

// write notes an answer that did not reach its reader.
func (s *Server) write(err error) {
	if err != nil {
		s.options.Log.Debug("a status was not delivered", "error", err)
	}
}

// health says whether the loop turns. That the mesh is not as planned is no
// reason to be unhealthy: restarting the agent would not mend it.
func (s *Server) health(now time.Time) (string, bool) {
	if err := s.options.Source.Healthy(); err != nil {
		return err.Error(), false
	}
	st := s.options.Source.Status()
	last, what := st.LastTurn.Started, "last turn began"
	if st.Turn == 0 {
		last, what = st.Since, "no turn is done yet; the agent began"
	}
	age := now.Sub(last)
	text := fmt.Sprintf("%s %s ago", what, age.Round(time.Millisecond))
	if age > s.options.MaxAge {
		return fmt.Sprintf("%s; that is more than %s", text, s.options.MaxAge), false
	}
	return fmt.Sprintf("ok: %s; %s", st.State, text), true
}

// events streams the status, one JSON text a line: at once, when it changed, and
// at every heartbeat.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, enc := http.NewResponseController(w), json.NewEncoder(w)
	// The request has come in; from here on its deadline would end the stream.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		s.write(err)
		return
	}
	changed := s.options.Source.Subscribe(r.Context())
	beat := time.NewTicker(s.options.bounds.heartbeat)
	defer beat.Stop()
	for {
		select {
		case _, open := <-changed:
			if !open {
				return
			}
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
		// The whole answer takes as long as the reader stays, but each line must go.
		err := out.SetWriteDeadline(time.Now().Add(s.options.bounds.patience))
		if err == nil {
			err = enc.Encode(s.options.Source.Status())
		}
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			s.write(err)
			return
		}
		select {
		case <-time.After(s.options.bounds.gap):
		case <-r.Context().Done():
			return
		}
	}
}
