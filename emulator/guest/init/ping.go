package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/guest/wire"
)

// ICMP types of echo requests and replies (RFC 792, RFC 4443).
const (
	echoRequest, echoReply   = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// Ping sends echo requests, each when the one before is answered or given up.
func (g *Guest) Ping(in wire.Ping, out *wire.Pinged) error {
	to, err := netip.ParseAddr(in.To)
	if err != nil {
		return err
	}
	network, request, reply := "ip4:icmp", byte(echoRequest), byte(echoReply)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", echoRequest6, echoReply6
	}
	lc := net.ListenConfig{Control: unfragmented(to.Is6())}
	wildcard := map[bool]string{false: "0.0.0.0", true: "::"}[to.Is6()]
	conn, err := lc.ListenPacket(background, network, wildcard)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	dst := &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	id := uint16(os.Getpid()) ^ uint16(time.Now().UnixNano())
	for seq := range in.Count {
		if seq > 0 {
			time.Sleep(in.Interval)
		}
		out.Sent++
		took, err := echo(conn, dst, request, reply, id, uint16(seq), in)
		if err != nil {
			out.Error = err.Error()
			continue
		}
		out.Received++
		out.Max = max(out.Max, took)
		if out.Min == 0 || took < out.Min {
			out.Min = took
		}
	}
	return nil
}

func echo(conn net.PacketConn, to net.Addr, request, reply byte, id, seq uint16, in wire.Ping) (time.Duration, error) {
	packet := make([]byte, 8+in.Size)
	packet[0] = request
	binary.BigEndian.PutUint16(packet[4:], id)
	binary.BigEndian.PutUint16(packet[6:], seq)
	for i := range packet[8:] {
		packet[8+i] = byte(i)
	}
	if request == echoRequest { // for ICMPv6 the kernel does it
		binary.BigEndian.PutUint16(packet[2:], checksum(packet))
	}
	start := time.Now()
	if err := conn.SetDeadline(start.Add(in.Wait)); err != nil {
		return 0, err
	}
	if _, err := conn.WriteTo(packet, to); err != nil {
		return 0, err
	}
	buf := make([]byte, 1<<17)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return 0, err
		}
		if n < 8 || buf[0] != reply || binary.BigEndian.Uint16(buf[4:]) != id || binary.BigEndian.Uint16(buf[6:]) != seq {
			continue
		}
		if n != len(packet) || string(buf[8:n]) != string(packet[8:]) {
			return 0, fmt.Errorf("%d bytes came back for %d, or others", n, len(packet))
		}
		return time.Since(start), nil
	}
}

// checksum is that of RFC 1071.
func checksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(p); i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	if len(p)%2 == 1 {
		sum += uint32(p[len(p)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// unfragmented makes packets above the MTU an error instead of fragments.
func unfragmented(six bool) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) {
			if six {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
				return
			}
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		})
		return errors.Join(ctl, err)
	}
}
