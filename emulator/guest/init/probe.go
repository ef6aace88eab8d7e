package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

var background = context.Background()

// Echo answers UDP packets on a port, on all addresses, until the guest ends.
func (g *Guest) Echo(port int, _ *wire.None) error {
	conn, err := listenUDP(port)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				// An answer that can't be sent is a lost one.
				_, _ = conn.WriteToUDP(buf[:n], from)
			}
		}
	}()
	return nil
}

// listenUDP makes a socket with room for a minute: thunderbolt_net takes a page pair of 8 KiB for each packet, so that the
// usual buffer is full after 26 of them, and a guest that gets no processor for half a second would count them as lost.
func listenUDP(port int) (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var inner error
		err = raw.Control(func(fd uintptr) {
			inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		})
		err = errors.Join(err, inner)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// probe is a stream of numbered packets.
type probe struct {
	conn     *net.UDPConn
	interval time.Duration
	stop     chan struct{}
	done     chan struct{}

	mu  sync.Mutex
	got []bool // by number
}

// ProbeStart begins a stream and returns its number for ProbeStop.
func (g *Guest) ProbeStart(in wire.Probe, id *int) error {
	to, err := net.ResolveUDPAddr("udp", in.To)
	if err != nil {
		return err
	}
	if in.Interval <= 0 {
		return errors.New("a probe needs an interval")
	}
	// Not connected: an interface that goes must not end the stream.
	conn, err := listenUDP(0)
	if err != nil {
		return err
	}
	p := &probe{conn: conn, interval: in.Interval, stop: make(chan struct{}), done: make(chan struct{})}
	go p.send(to)
	go p.receive()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	g.probes[g.last] = p
	*id = g.last
	return nil
}

func (p *probe) send(to *net.UDPAddr) {
	defer close(p.done)
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	start := time.Now()
	packet := make([]byte, 8)
	for n := 0; ; {
		// A late tick is made up for: there are as many packets as intervals.
		for ; time.Duration(n)*p.interval <= time.Since(start); n++ {
			p.mu.Lock()
			p.got = append(p.got, false)
			p.mu.Unlock()
			binary.BigEndian.PutUint64(packet, uint64(n))
			_, _ = p.conn.WriteToUDP(packet, to) // no route: lost, and counted as such
		}
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

func (p *probe) receive() {
	buf := make([]byte, 64)
	for {
		n, err := p.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 8 {
			continue
		}
		p.mu.Lock()
		if i := binary.BigEndian.Uint64(buf); i < uint64(len(p.got)) {
			p.got[i] = true
		}
		p.mu.Unlock()
	}
}

// ProbeStop ends a stream, waits a second for the last echoes, and reports.
func (g *Guest) ProbeStop(id int, out *wire.Probed) error {
	g.mu.Lock()
	p := g.probes[id]
	delete(g.probes, id)
	g.mu.Unlock()
	if p == nil {
		return fmt.Errorf("there is no probe %d", id)
	}
	close(p.stop)
	<-p.done
	time.Sleep(time.Second)
	if err := p.conn.Close(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	*out = report(p.got)
	out.Interval = p.interval
	return nil
}

// report counts what came back and finds the runs of what did not.
func report(got []bool) wire.Probed {
	out := wire.Probed{Sent: len(got)}
	for i, ok := range got {
		switch last := len(out.Gaps) - 1; {
		case ok:
			out.Received++
		case last >= 0 && out.Gaps[last].First+out.Gaps[last].Count == i:
			out.Gaps[last].Count++
		default:
			out.Gaps = append(out.Gaps, wire.Gap{First: i, Count: 1})
		}
	}
	return out
}

// Receive takes one TCP connection on the port and reads it to its end. The answer comes when all is read.
func (g *Guest) Receive(in wire.Transfer, out *wire.Transferred) error {
	l, err := net.Listen("tcp", in.To)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	end := time.Now().Add(in.Timeout)
	if err := l.(*net.TCPListener).SetDeadline(end); err != nil {
		return err
	}
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	start, h := time.Now(), sha256.New()
	out.Bytes, err = io.Copy(h, conn)
	out.Took, out.SHA256 = time.Since(start), hex.EncodeToString(h.Sum(nil))
	return err
}

// Send sends pseudo-random bytes over TCP; it tries to connect until it can.
func (g *Guest) Send(in wire.Transfer, out *wire.Transferred) error {
	end := time.Now().Add(in.Timeout)
	var conn net.Conn
	for {
		var err error
		if conn, err = net.DialTimeout("tcp", in.To, time.Second); err == nil {
			break
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	start, h := time.Now(), sha256.New()
	n, err := io.Copy(conn, io.TeeReader(io.LimitReader(rand.NewChaCha8(in.Seed), in.Size), h))
	out.Bytes, out.Took, out.SHA256 = n, time.Since(start), hex.EncodeToString(h.Sum(nil))
	return err
}
