package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// maxStatus bounds a status that is read: that of a thousand nodes is below a
// megabyte.
const maxStatus = 16 << 20

// Client asks an agent over its socket.
type Client struct {
	Socket string
}

// Get returns the status, and its JSON as the agent wrote it, which may have
// fields that this program does not know yet.
func (c Client) Get(ctx context.Context) (mesh.Status, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, usual.patience)
	defer cancel()
	body, closed, err := c.open(ctx, http.MethodGet, "/status.json")
	if err != nil {
		return mesh.Status{}, nil, err
	}
	defer closed()
	raw, err := io.ReadAll(io.LimitReader(body, maxStatus))
	if err != nil {
		return mesh.Status{}, nil, fmt.Errorf("%s: %w", c.Socket, err)
	}
	s, err := c.parse(raw)
	return s, raw, err
}

// Watch calls each with every status that the agent sends, the first at once,
// until ctx ends, the agent goes, or each returns an error, which Watch returns.
func (c Client) Watch(ctx context.Context, each func(s mesh.Status, raw []byte) error) error {
	body, closed, err := c.open(ctx, http.MethodGet, "/events")
	if err != nil {
		return err
	}
	defer closed()
	// An agent that stands still is as good as gone: it promises a line per heartbeat.
	quiet := time.AfterFunc(3*usual.heartbeat, closed)
	defer quiet.Stop()
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), maxStatus)
	for lines.Scan() {
		quiet.Reset(3 * usual.heartbeat)
		s, err := c.parse(lines.Bytes())
		if err != nil {
			return err
		}
		if err := each(s, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return &Unavailable{Socket: c.Socket, Err: errors.Join(lines.Err(), errors.New("the agent ended the connection"))}
}

func (c Client) parse(raw []byte) (mesh.Status, error) {
	var s mesh.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%s: not the status of an agent: %w", c.Socket, err)
	}
	return s, nil
}

// open asks for a page. closed ends the connection; it may be called twice.
func (c Client) open(ctx context.Context, method, page string) (body io.Reader, closed func(), err error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, ResponseHeaderTimeout: usual.patience, MaxResponseHeaderBytes: maxHeader}
	ctx, cancel := context.WithCancel(ctx)
	// The host is not looked up: it is what HTTP/1.1 wants in the header.
	r, err := http.NewRequestWithContext(ctx, method, "http://agent"+page, http.NoBody)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		cancel()
		return nil, nil, &Unavailable{Socket: c.Socket, Err: err}
	}
	if answer.StatusCode == http.StatusForbidden {
		_ = answer.Body.Close()
		cancel()
		return nil, nil, fmt.Errorf("%s: only root and the user of the agent may do that; try it as root", c.Socket)
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		cancel()
		return nil, nil, fmt.Errorf("%s: not an agent: it answers %s to %s", c.Socket, answer.Status, page)
	}
	return answer.Body, cancel, nil
}

// Unavailable says why no agent answers, and what to do.
type Unavailable struct {
	Socket string
	Err    error
}

func (u *Unavailable) Unwrap() error { return u.Err }

func (u *Unavailable) Error() string {
	switch {
	case errors.Is(u.Err, fs.ErrNotExist):
		return fmt.Sprintf("no agent runs here: there is no socket %s; start it with `systemctl start usb4mesh`, or name its socket with --socket", u.Socket)
	case errors.Is(u.Err, syscall.ECONNREFUSED):
		return fmt.Sprintf("the agent has ended: nobody answers at %s; `systemctl status usb4mesh` and `journalctl -u usb4mesh` say why", u.Socket)
	case errors.Is(u.Err, fs.ErrPermission):
		return fmt.Sprintf("you may not ask the agent at %s: %s", u.Socket, u.remedy())
	case errors.Is(u.Err, os.ErrDeadlineExceeded) || errors.Is(u.Err, context.DeadlineExceeded):
		return fmt.Sprintf("the agent at %s does not answer: %v; `journalctl -u usb4mesh` may say why", u.Socket, u.Err)
	}
	return fmt.Sprintf("the agent at %s does not answer: %v", u.Socket, u.Err)
}

// remedy says who may use the socket.
func (u *Unavailable) remedy() string {
	const asRoot = "ask as root"
	info, err := os.Stat(u.Socket)
	if err != nil {
		return asRoot
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&0o060 == 0 || owner.Gid == 0 {
		return asRoot
	}
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(owner.Gid), 10))
	if err != nil {
		return asRoot
	}
	return fmt.Sprintf("%s, or join its group with `usermod -aG %s USER` and log in again", asRoot, g.Name)
}
