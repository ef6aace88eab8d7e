package chaos

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/internal/gossip"
	"github.com/usb4mesh/usb4mesh/internal/lab"
)

// What runs in the nodes of a lab: this test binary, called with wireArg, which sends any
// frame and sees every frame.
const (
	wireArg  = "wire"
	wireSend = "send" // INTERFACE: frames from standard input, as JSON
	wireSee  = "see"  // until standard input ends: what was seen, as JSON
	wireTalk = "talk" // until standard input ends: gossip, as its configuration in the standard input says
	wirePort = 9999   // of UDP, on which "see" listens
	wireLast = 0xffff // number of the frame by which "see" knows that it has seen all before
)

// mark starts the payload of the frames that a test sends; two bytes with their number
// follow.
var mark = []byte("u4m-test")

// seen is what a node has seen: of marked frames, by their number, where and how often;
// and some of the frames of agents.
type seen struct {
	Marked map[int]map[string]int // "tbt-02 in", "tbt-02 out", "socket"
	Agents map[string][]tapped    // by interface: BFD and gossip that came in
	IP     map[string]int         // IP packets that came in, by interface
}

// tapped is a frame of an agent, from its Ethernet header on.
type tapped struct {
	Port  int // of UDP
	Frame []byte
}

func wireMain(args []string) int {
	err := errors.New("wrong usage")
	switch {
	case len(args) == 2 && args[0] == wireSend:
		err = wireSends(args[1])
	case len(args) == 1 && args[0] == wireSee:
		err = wireSees()
	case len(args) == 1 && args[0] == wireTalk:
		err = wireTalks()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func wireSends(name string) error {
	var frames [][]byte
	if err := json.NewDecoder(os.Stdin).Decode(&frames); err != nil {
		return err
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for n, f := range frames {
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			return fmt.Errorf("frame %d of %d bytes: %w", n, len(f), err)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}

// wireTalks speaks for a node with the key of the one that it runs in.
func wireTalks() error {
	var c gossip.Config
	in := json.NewDecoder(os.Stdin)
	err := in.Decode(&c)
	if err == nil {
		c.Keys, err = gossip.LoadKeys("/run/usb4mesh-lab/gossip.key")
	}
	if err != nil {
		return err
	}
	g, err := gossip.Open(c)
	if err != nil {
		return err
	}
	var says []gossip.LinkState
	for cable, ends := range c.Cables {
		if slices.Contains(ends[:], c.Node) {
			says = append(says, gossip.LinkState{Node: c.Node, Cable: cable, Up: true})
		}
	}
	g.Announce(says)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return g.Close()
}

func wireSees() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})))
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("udp", ":"+strconv.Itoa(wirePort))
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	var mu sync.Mutex
	s := seen{map[int]map[string]int{}, map[string][]tapped{}, map[string]int{}}
	note := func(b []byte, where string) {
		if at := bytes.Index(b, mark); at >= 0 && len(b) >= at+len(mark)+2 {
			mu.Lock()
			defer mu.Unlock()
			n := int(binary.BigEndian.Uint16(b[at+len(mark):]))
			if n == wireLast {
				return
			}
			if s.Marked[n] == nil {
				s.Marked[n] = map[string]int{}
			}
			s.Marked[n][where]++
		}
	}
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			note(b[:n], "socket")
		}
	}()
	all := make(chan struct{})
	go func() {
		defer close(all)
		b := make([]byte, 1<<17)
		names := map[int]string{}
		for {
			n, from, err := unix.Recvfrom(fd, b, 0)
			if err != nil || bytes.Contains(b[:n], payload(wireLast)) {
				return
			}
			l, ok := from.(*unix.SockaddrLinklayer)
			if !ok || n < 14 {
				continue
			}
			name := names[l.Ifindex]
			if name == "" {
				if i, err := net.InterfaceByIndex(l.Ifindex); err == nil {
					name = i.Name
					names[l.Ifindex] = name
				}
			}
			if l.Pkttype == unix.PACKET_OUTGOING {
				note(b[:n], name+" out")
				continue
			}
			note(b[:n], name+" in")
			mu.Lock()
			s.tap(name, b[:n])
			mu.Unlock()
		}
	}()
	fmt.Println("{}") // it sees //nolint:forbidigo // this is a command
	_, _ = io.Copy(io.Discard, os.Stdin)
	// Behind all that came before, in the same queue.
	if _, err := c.WriteTo(payload(wireLast), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: wirePort}); err != nil {
		return err
	}
	<-all
	mu.Lock()
	defer mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(s)
}

// tap keeps what an agent said to another one.
func (s *seen) tap(name string, f []byte) {
	kind := binary.BigEndian.Uint16(f[12:])
	if kind == unix.ETH_P_IP || kind == unix.ETH_P_IPV6 {
		s.IP[name]++
	}
	at := 14 + 20
	if kind == unix.ETH_P_IPV6 {
		at = 14 + 40
	}
	if len(f) < at+8 || kind == unix.ETH_P_IP && f[14+9] != unix.IPPROTO_UDP || kind == unix.ETH_P_IPV6 && f[14+6] != unix.IPPROTO_UDP {
		return
	}
	port := int(binary.BigEndian.Uint16(f[at+2:]))
	if port != bfdPort && port != gossipPort || len(s.Agents[name]) >= 400 {
		return
	}
	s.Agents[name] = append(s.Agents[name], tapped{port, bytes.Clone(f)})
}

// run runs the test binary in a node.
func wire(t *testing.T, l *lab.Lab, node string, stdin, stdout *os.File, args ...string) (wait func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		code, err := l.Exec(context.WithoutCancel(t.Context()), lab.Command{Node: node, Argv: append([]string{self, wireArg}, args...)}, [3]*os.File{stdin, stdout, said}, nil)
		if err == nil && code != 0 {
			err = fmt.Errorf("exit %d", code)
		}
		done <- err
	}()
	return func() {
		t.Helper()
		if err := <-done; err != nil {
			b, _ := os.ReadFile(said.Name())
			t.Errorf("node %s: %v: %v: %s", node, args, err, b)
		}
		_ = said.Close()
	}
}

// send sends frames out of an interface of a node.
func send(t *testing.T, l *lab.Lab, node, iface string, frames ...[]byte) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = json.NewEncoder(w).Encode(frames)
		_ = w.Close()
	}()
	wire(t, l, node, r, os.Stderr, wireSend, iface)()
	_ = r.Close()
}

// see begins to look at what passes a node; the function that it returns ends that.
func see(t *testing.T, l *lab.Lab, node string) (end func() seen) {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	wait := wire(t, l, node, inR, outW, wireSee)
	out := json.NewDecoder(outR)
	var ready struct{}
	if err := out.Decode(&ready); err != nil {
		t.Fatal(err)
	}
	return func() seen {
		t.Helper()
		time.Sleep(50 * time.Millisecond) // what is on its way
		var s seen
		_ = inW.Close()
		if err := out.Decode(&s); err != nil {
			t.Error(err)
		}
		wait()
		for _, f := range []*os.File{inR, outR, outW} {
			_ = f.Close()
		}
		return s
	}
}
