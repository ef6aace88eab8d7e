package hw

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// MAC returns the address that thunderbolt_net gives the interface behind a port of
// a host router, in the form 02:e2:1e:08:57:bc; "" where uuid is none. With the
// peer's UUID it tells which of the peer's ports a frame came from, before any
// configuration. Source: tbnet_generate_mac, drivers/net/thunderbolt/main.c.
//
// The route's physical port counts, so all peers behind one hub share an address.
func MAC(uuid string, adapter int) string {
	id, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(id) != 16 || adapter < 1 || adapter > 63 {
		return ""
	}
	var words [4]uint32
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(id[4*i:])
	}
	hash := jhash2(words, 0)
	var mac [6]byte
	mac[0] = byte((adapter-1)/2)<<4 | 0x02
	binary.LittleEndian.PutUint32(mac[1:], hash)
	mac[5] = byte(jhash2(words, hash))
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
}

// jhash2 is Bob Jenkins' lookup3 over four words, as in include/linux/jhash.h.
func jhash2(k [4]uint32, initval uint32) uint32 {
	const golden = 0xdeadbeef // JHASH_INITVAL
	rol := func(x uint32, n int) uint32 { return x<<n | x>>(32-n) }
	a := uint32(golden) + 4<<2 + initval
	b, c := a, a

	a, b, c = a+k[0], b+k[1], c+k[2]
	// __jhash_mix
	a = (a - c) ^ rol(c, 4)
	c += b
	b = (b - a) ^ rol(a, 6)
	a += c
	c = (c - b) ^ rol(b, 8)
	b += a
	a = (a - c) ^ rol(c, 16)
	c += b
	b = (b - a) ^ rol(a, 19)
	a += c
	c = (c - b) ^ rol(b, 4)
	b += a

	a += k[3]
	// __jhash_final
	c = (c ^ b) - rol(b, 14)
	a = (a ^ c) - rol(c, 11)
	b = (b ^ a) - rol(a, 25)
	c = (c ^ b) - rol(b, 16)
	a = (a ^ c) - rol(c, 4)
	b = (b ^ a) - rol(a, 14)
	c = (c ^ b) - rol(b, 24)
	return c
}
