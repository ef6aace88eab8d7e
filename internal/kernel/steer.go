package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// ErrNoSteering says that the kernel can't steer packets: it has no nf_tables, or
// this process may not use them. Routes do the same, later.
var ErrNoSteering = errors.New("the kernel can't steer packets (nf_tables)")

// Steerer takes packets off a link at once: the real kernel or a fake.
type Steerer interface {
	// Steer makes the entries, and nothing else, go out of the ports they name.
	Steer(ctx context.Context, entries []mesh.Steer) error
	// Unsteer takes back all that Steer has made.
	Unsteer(ctx context.Context) error
}

var _ Steerer = (*Kernel)(nil)

// steerPatience bounds how long the kernel may take to answer a transaction. It
// answers within the system call that sends it, so this only guards against a
// reply that never was.
const steerPatience = 5 * time.Second

// steerBuffer holds the transaction for the largest mesh: 2 families, 8 ports and
// 1000 nodes.
const steerBuffer = 4 << 20

// steering is the second socket of a Kernel, to nf_tables. It is not used on the
// Kernel's thread: that one may stand still in the routing part of the kernel for
// as long as a driver holds RTNL, which is when steering is needed. A netlink
// socket keeps the namespace it was opened in, whoever uses it.
type steering struct {
	mu     sync.Mutex
	rules  *nftables.Conn
	socket *netlink.Conn // of rules
	failed error         // why there is none

	guard   sync.Mutex   // one Guard at a time; taken before mu
	counted mesh.Refused // what its counters said last
}

// open must be called on a thread inside the namespace.
func (s *steering) open() {
	s.rules, s.failed = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		s.socket = c
		// A transaction is one datagram; the default of 208 KiB ends at about 2000 entries.
		return errors.Join(c.SetWriteBuffer(steerBuffer), c.SetReadBuffer(steerBuffer))
	}))
}

func (s *steering) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rules == nil {
		return nil
	}
	rules := s.rules
	s.rules, s.failed = nil, ErrClosed
	return rules.CloseLasting()
}

// Steer makes the kernel send the packets that the entries name out of the ports
// they name, and no others: the whole set is replaced in one step, and a packet
// sees the old set or the new one. An empty set leaves everything to the tables,
// with all prepared; call it once at the start, so that modules are loaded and a
// kernel without nf_tables is known (ErrNoSteering) before it is urgent.
//
// The rules and tables that marks lead to have to stand (mesh.SteerTable).
// Without its rule, a marked packet goes as always. Of entries that agree in
// incoming interface and destination the last counts.
//
// Steer does not need RTNL, the lock that every change of an interface, address
// or route takes, and so works while a driver keeps that for seconds. It also
// puts the table in place again when somebody has flushed it, and keeps no state
// but in the kernel: what is steered stays when the process dies.
func (k *Kernel) Steer(ctx context.Context, entries []mesh.Steer) error {
	return k.steering.transact(ctx, func(c *nftables.Conn) error { return steerTable(c, entries) })
}

// Unsteer removes everything that Steer has made. It may be called again.
func (k *Kernel) Unsteer(ctx context.Context) error {
	return k.steering.dropTable(ctx, steerName)
}

// dropTable removes a table, whether it is there or not.
func (s *steering) dropTable(ctx context.Context, name string) error {
	return s.transact(ctx, func(c *nftables.Conn) error {
		c.DelTable(c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: name}))
		return nil
	})
}

// transact sends what fill has put together as one transaction: the kernel
// carries out all of it or nothing.
func (s *steering) transact(ctx context.Context, fill func(*nftables.Conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("kernel: packet filter: %w", err)
	}
	if s.failed != nil {
		return fmt.Errorf("kernel: packet filter: %w (%w)", ErrNoSteering, s.failed)
	}
	deadline := time.Now().Add(steerPatience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	err := fill(s.rules)
	if err == nil {
		err = s.socket.SetReadDeadline(deadline)
	}
	if err == nil {
		err = s.rules.Flush()
	}
	if err == nil {
		return nil
	}
	s.drain()
	if unsupported(err) {
		err = fmt.Errorf("%w (%w)", ErrNoSteering, err)
	}
	return fmt.Errorf("kernel: packet filter: %w", err)
}

// drain drops the answers to a transaction that failed, so that they are not
// taken for those to the next one. They are there already: the kernel answers
// within the call that sends.
func (s *steering) drain() {
	for {
		if err := s.socket.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return
		}
		if _, err := s.socket.Receive(); errors.Is(err, unix.EAGAIN) || isTimeout(err) {
			return
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// unsupported reports whether the kernel lacks what a transaction uses: no
// nf_tables at all (nfnetlink.c, nfnetlink_rcv_batch: EOPNOTSUPP), no family inet
// (EAFNOSUPPORT), no chains of type route (nf_tables_api.c: ENOENT), or no right.
func unsupported(err error) bool {
	for _, e := range []error{unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOENT, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// marksOf returns the marks of the entries, each once, in order.
func marksOf(entries []mesh.Steer) []uint32 {
	marks := map[uint32]bool{}
	for _, e := range entries {
		marks[e.Mark] = true
	}
	return slices.Sorted(maps.Keys(marks))
}
