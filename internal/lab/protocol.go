package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// The keeper is driven over unix stream sockets, one connection per request.
// The client sends one request as a line of JSON, perhaps with file descriptors
// (SCM_RIGHTS), and may follow it with notes. The keeper sends one reply with
// the result or the error. A client that hangs up cancels its request.
//
// Whoever can open the socket owns the lab: it stands in a directory that only
// its owner may enter, or is a socket pair nobody else holds.

const (
	opBuild   = "build"
	opCut     = "cut"
	opPlug    = "plug"
	opSettled = "settled"
	opStatus  = "status"
	opCheck   = "check"
	opProbe   = "probe"
	opRate    = "rate"
	opBare    = "bare"
	opExec    = "exec"
	opDown    = "down"
)

type request struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

// note is what a client may send while its request runs.
type note struct {
	Stop   bool    `json:"stop,omitempty"`   // end a probe run
	Marks  []int64 `json:"marks,omitempty"`  // with Stop: bounds of the phases
	Signal int     `json:"signal,omitempty"` // pass on to the command of an exec
}

type reply struct {
	Started bool            `json:"started,omitempty"` // the work has begun; the result follows
	Error   string          `json:"error,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
}

type buildArgs struct {
	Plan    mesh.Plan
	Engine  string
	Limit   time.Duration
	Cluster []byte // the cluster file, for engines that read it themselves
	Program string // what runs as agent; "" is this program
	Logs    string // folder for the logs of agents; "" is the node's own /run
}

type cutArgs struct {
	Cable, How string
	End        int
}

type plugArgs struct{ Cable string }

// maxMessage bounds what one connection may send before it is refused: the plan
// of a thousand nodes is some tens of megabytes.
const maxMessage = 256 << 20

// maxFiles is how many file descriptors one message may carry: the three
// standard streams.
const maxFiles = 3

// conn speaks the protocol at either end of a connection.
type conn struct {
	u     *net.UnixConn
	dec   *json.Decoder
	files []*os.File // received with the messages read so far
}

func newConn(u *net.UnixConn) *conn {
	c := &conn{u: u}
	c.dec = json.NewDecoder(io.LimitReader(c, maxMessage))
	return c
}

// Read reads from the socket and keeps the file descriptors that came along.
func (c *conn) Read(p []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.u.ReadMsgUnix(p, oob)
	if oobn > 0 {
		files, ferr := receivedFiles(oob[:oobn])
		c.files = append(c.files, files...)
		err = errors.Join(err, ferr)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(0, n), err // recvmsg(2) fails with -1
}

func receivedFiles(oob []byte) ([]*os.File, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var files []*os.File
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, fmt.Errorf("control message: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

// send writes v as one line, with files attached to its first byte.
func (c *conn) send(v any, files ...*os.File) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		if _, _, err := c.u.WriteMsgUnix(line[:1], unix.UnixRights(fds...), nil); err != nil {
			return err
		}
		line = line[1:]
	}
	_, err = c.u.Write(line)
	return err
}

// result reads the reply and decodes its result into out, unless out is nil.
func (c *conn) result(ctx context.Context, out any) error {
	var r reply
	if err := c.dec.Decode(&r); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the lab ended while it worked: %w", err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	if out == nil || len(r.Result) == 0 {
		return nil
	}
	return json.Unmarshal(r.Result, out)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
