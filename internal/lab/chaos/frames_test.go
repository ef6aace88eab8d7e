package chaos

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// UDP ports of agents.
const (
	bfdPort    = 3784
	gossipPort = 7946
)

// ends are two interfaces: frames are made from the first to the second.
type ends struct{ from, to net.HardwareAddr }

func (e ends) frame(kind uint16, packet []byte) []byte {
	return slices.Concat(e.to, e.from, binary.BigEndian.AppendUint16(nil, kind), packet)
}

// ip is a packet of any protocol with hop limit 255.
func (e ends) ip(src, dst netip.Addr, protocol byte, body []byte) []byte {
	s, d := src.AsSlice(), dst.AsSlice()
	if src.Is6() {
		head := []byte{0x60, 0, 0, 0, 0, 0, protocol, 255}
		binary.BigEndian.PutUint16(head[4:], uint16(len(body)))
		return e.frame(unix.ETH_P_IPV6, slices.Concat(head, s, d, body))
	}
	head := slices.Concat([]byte{0x45, 0, 0, 0, 0, 1, 0, 0, 255, protocol, 0, 0}, s, d)
	binary.BigEndian.PutUint16(head[2:], uint16(len(head)+len(body)))
	binary.BigEndian.PutUint16(head[10:], checksum(head))
	return e.frame(unix.ETH_P_IP, append(head, body...))
}

func (e ends) udp(src, dst netip.Addr, from, to uint16, payload []byte) []byte {
	body := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(body, from)
	binary.BigEndian.PutUint16(body[2:], to)
	binary.BigEndian.PutUint16(body[4:], uint16(8+len(payload)))
	body = append(body, payload...)
	binary.BigEndian.PutUint16(body[6:], checksum(pseudo(src, dst, unix.IPPROTO_UDP, body)))
	return e.ip(src, dst, unix.IPPROTO_UDP, body)
}

func (e ends) icmp6(src, dst netip.Addr, body []byte) []byte {
	body = slices.Clone(body)
	binary.BigEndian.PutUint16(body[2:], checksum(pseudo(src, dst, unix.IPPROTO_ICMPV6, body)))
	return e.ip(src, dst, unix.IPPROTO_ICMPV6, body)
}

func (e ends) icmp4(src, dst netip.Addr, body []byte) []byte {
	body = slices.Clone(body)
	binary.BigEndian.PutUint16(body[2:], checksum(body))
	return e.ip(src, dst, unix.IPPROTO_ICMP, body)
}

// arp says that an address is at the sender's, or asks for it.
func (e ends) arp(op uint16, sender, target netip.Addr) []byte {
	body := []byte{0, 1, 8, 0, 6, 4}
	body = binary.BigEndian.AppendUint16(body, op)
	return e.frame(unix.ETH_P_ARP, slices.Concat(body, e.from, sender.AsSlice(), e.to, target.AsSlice()))
}

// again is a UDP packet that was captured, as if it came from another interface. It is
// made anew, because its sender left the checksum to the hardware.
func (e ends) again(frame []byte) []byte {
	at, source := 14+20, 14+12
	size := 4
	if binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6 {
		at, source, size = 14+40, 14+8, 16
	}
	src, _ := netip.AddrFromSlice(frame[source : source+size])
	dst, _ := netip.AddrFromSlice(frame[source+size : source+2*size])
	u := frame[at:]
	return e.udp(src, dst, binary.BigEndian.Uint16(u), binary.BigEndian.Uint16(u[2:]), u[8:binary.BigEndian.Uint16(u[4:])])
}

func pseudo(src, dst netip.Addr, protocol byte, body []byte) []byte {
	n := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return slices.Concat(src.AsSlice(), dst.AsSlice(), n, []byte{0, 0, 0, protocol}, body)
}

// checksum is that of RFC 1071, never 0: that means none in UDP.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		return 0xffff
	}
	return ^uint16(sum)
}

// payload is what marks a frame.
func payload(number int) []byte {
	return binary.BigEndian.AppendUint16(slices.Clone(mark), uint16(number))
}

// Messages of neighbour discovery (RFC 4861), without checksum.

func advertisement(target netip.Addr, mac net.HardwareAddr) []byte {
	return slices.Concat([]byte{136, 0, 0, 0, 0xe0, 0, 0, 0}, target.AsSlice(), []byte{2, 1}, mac)
}

// routerAdvertisement offers itself as router, with a prefix and a route (RFC 4191).
func routerAdvertisement(mac net.HardwareAddr, prefix, route netip.Addr) []byte {
	b := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}
	b = slices.Concat(b, []byte{1, 1}, mac)
	b = slices.Concat(b, []byte{3, 4, 64, 0xc0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, prefix.AsSlice())
	return slices.Concat(b, []byte{24, 3, 128, 0x08, 0, 1, 0, 0}, route.AsSlice())
}

func redirect6(target, destination netip.Addr, mac net.HardwareAddr) []byte {
	return slices.Concat([]byte{137, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice(), destination.AsSlice(), []byte{2, 1}, mac)
}

// redirect4 says that a gateway is the way to where a packet went (RFC 792).
func redirect4(gateway, src, dst netip.Addr) []byte {
	inner := ends{make(net.HardwareAddr, 6), make(net.HardwareAddr, 6)}.udp(src, dst, 9, 9, nil)[14:]
	return slices.Concat([]byte{5, 1, 0, 0}, gateway.AsSlice(), inner)
}

// bfd is a control packet of a session that ends (RFC 5880, section 4.1): state Down,
// "neighbor signaled session down".
func bfd(mine, yours uint32) []byte {
	b := []byte{1<<5 | 3, 1 << 6, 3, 24}
	b = binary.BigEndian.AppendUint32(b, mine)
	b = binary.BigEndian.AppendUint32(b, yours)
	for range 3 {
		b = binary.BigEndian.AppendUint32(b, 50_000)
	}
	return b
}
