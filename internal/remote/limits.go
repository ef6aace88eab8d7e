package remote

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// What somebody may cost before it is known that he has the key, and after.
const (
	helloTime   = 5 * time.Second // for the handshake, and again for the request
	helloBytes  = 16 << 10        // of the handshake; ours has less than 3 KiB
	helloWaits  = 16              // handshakes at a time, per origin
	helloRate   = 64              // handshakes per second, per origin, and as many at once
	writeTime   = 10 * time.Second
	maxConns    = 256 // that have proven the key
	maxJobs     = 64  // of a session at a time
	complainGap = time.Minute
)

// origin is where connections come from: a node of the mesh, or anywhere else. So
// strangers take nothing away from nodes.
type origin struct {
	mu      sync.Mutex
	tokens  float64
	last    time.Time
	waiting int
}

// enter reports whether one more handshake may begin now.
func (o *origin) enter(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last.IsZero() {
		o.tokens = helloRate
	} else {
		o.tokens = min(helloRate, o.tokens+now.Sub(o.last).Seconds()*helloRate)
	}
	o.last = now
	if o.tokens < 1 || o.waiting >= helloWaits {
		return false
	}
	o.tokens--
	o.waiting++
	return true
}

func (o *origin) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
}

// origins are those of a mesh; the zero address stands for anywhere else.
func origins(owner map[netip.Addr]string) map[netip.Addr]*origin {
	all := map[netip.Addr]*origin{{}: {}}
	for a := range owner {
		all[a] = &origin{}
	}
	return all
}

var errTooMuch = errors.New("too much is said before the key is proven")

// frugal is a connection from which only so much is read before the key is proven.
type frugal struct {
	net.Conn
	left   int
	proven bool // set and read by the one goroutine that shakes hands and then reads
}

func (f *frugal) Read(p []byte) (int, error) {
	if f.proven {
		return f.Conn.Read(p)
	}
	if f.left <= 0 {
		return 0, errTooMuch
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// keepAlive notices within twenty seconds that the other machine is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}
