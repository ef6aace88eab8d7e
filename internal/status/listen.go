package status

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// socketMode lets the owner and one group connect (unix(7): connecting takes
// permission to write).
const socketMode = 0o660

// maxSocketPath is the room for a path in struct sockaddr_un, without the final 0.
const maxSocketPath = 107

// listenUnix binds a socket at path for the owner and a group. It replaces a
// socket that a killed agent has left, and refuses to replace one that answers
// or a file that is none.
//
// The socket is made in a folder that nobody else may enter and renamed once its
// group and mode are right, so there is no moment at which others could connect.
func listenUnix(path, group string, log *slog.Logger) (net.Listener, error) {
	if err := replaceable(path); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".s") // 0700; short, for the sake of maxSocketPath
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	temporary := filepath.Join(private, "s")
	if n := max(len(temporary), len(path)); n > maxSocketPath {
		return nil, fmt.Errorf("the path is %d bytes too long for a socket", n-maxSocketPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would unlink the temporary name
	if err = giveToGroup(temporary, group, log); err == nil {
		if err = os.Chmod(temporary, socketMode); err == nil {
			err = os.Rename(temporary, path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socketListener{UnixListener: l, path: path, own: own}, nil
}

// replaceable reports why a socket must not be put at path.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("there is a file of another kind; name another path, or remove it")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil // nobody listens there any more
	}
	_ = c.Close()
	return errors.New("another agent answers there; one is enough for a network namespace")
}

// giveToGroup gives the file to a group. Without a wish it goes to DefaultGroup,
// where that exists and we may.
func giveToGroup(file, name string, log *slog.Logger) error {
	wished := name != ""
	if !wished {
		name = DefaultGroup
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		if wished {
			return fmt.Errorf("group %s: %w", name, err)
		}
		log.Info("the status socket is for root alone", "reason", "no group is called "+name)
		return nil
	}
	id, err := strconv.Atoi(g.Gid)
	if err == nil && id != os.Getegid() {
		err = os.Chown(file, -1, id)
	}
	if err != nil && !wished {
		log.Warn("the status socket is for its owner alone", "group", name, "error", err)
		return nil
	}
	return err
}

// socketListener removes its socket when it is closed, unless another took the place.
type socketListener struct {
	*net.UnixListener
	path string
	own  os.FileInfo
	once sync.Once
}

func (l *socketListener) Close() error {
	l.once.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.own) {
			_ = os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// limit returns a listener that holds at most n connections and closes further
// ones at once, so that who comes too late is told instead of left waiting.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, room: make(chan struct{}, n)}
}

type limited struct {
	net.Listener
	room chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}, nil
		default:
			_ = c.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
