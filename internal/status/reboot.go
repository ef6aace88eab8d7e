package status

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Rebooter is a Source that can reserve its node's absence. This is the only thing that
// a request has an effect on, and only over the socket, for root and the user of the
// agent: its group may ask and change nothing.
type Rebooter interface {
	// Reserve takes until the others have heard of it, or ctx ends.
	Reserve(ctx context.Context, hold time.Duration) mesh.RebootVerdict
	Release() mesh.RebootVerdict
}

const rebootPage = "/reboot"

// serveReboot answers POST /reboot?hold=10m and DELETE /reboot with a verdict.
func (s *Server) serveReboot(mux *http.ServeMux, r Rebooter) {
	answer := func(w http.ResponseWriter, v mesh.RebootVerdict) {
		w.Header().Set("Content-Type", "application/json")
		s.write(json.NewEncoder(w).Encode(v))
	}
	only := func(do http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if uid, ok := req.Context().Value(peerKey{}).(uint32); !ok || uid != 0 && int(uid) != os.Geteuid() {
				http.Error(w, "only root and the user of the agent may do that", http.StatusForbidden)
				return
			}
			do(w, req)
		}
	}
	mux.HandleFunc("POST "+rebootPage, only(func(w http.ResponseWriter, req *http.Request) {
		hold, err := time.ParseDuration(req.URL.Query().Get("hold"))
		if err != nil || hold <= 0 {
			http.Error(w, "hold is a time such as 10m", http.StatusBadRequest)
			return
		}
		answer(w, r.Reserve(req.Context(), hold))
	}))
	mux.HandleFunc("DELETE "+rebootPage, only(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, r.Release())
	}))
}

type peerKey struct{}

// withPeer adds the user at the other end of a unix socket (SO_PEERCRED, unix(7)).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if l, ok := c.(*limitedConn); ok {
		c = l.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var who *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || failed != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, who.Uid)
}

// Reserve asks the agent to make the other nodes count this one as gone for so long.
func (c Client) Reserve(ctx context.Context, hold time.Duration) (mesh.RebootVerdict, error) {
	return c.reboot(ctx, http.MethodPost, rebootPage+"?hold="+url.QueryEscape(hold.String()))
}

// Release ends that.
func (c Client) Release(ctx context.Context) (mesh.RebootVerdict, error) {
	return c.reboot(ctx, http.MethodDelete, rebootPage)
}

func (c Client) reboot(ctx context.Context, method, page string) (v mesh.RebootVerdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, usual.patience)
	defer cancel()
	body, closed, err := c.open(ctx, method, page)
	if err != nil {
		return v, err
	}
	defer closed()
	if err := json.NewDecoder(io.LimitReader(body, maxStatus)).Decode(&v); err != nil {
		return v, fmt.Errorf("%s: not the verdict of an agent: %w", c.Socket, err)
	}
	return v, nil
}
