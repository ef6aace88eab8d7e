package tune

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// thunderbolt_net puts a TCP packet of up to 64 KiB on the wire as it is, and the
// receiver gets one packet of that size, without a word about the segments that it
// should have been (no gso_size). A hop with a smaller MTU then refuses it, and
// throughput falls from Gbit/s to a few Mbit/s. With the driver's offload off, the
// kernel cuts the packets itself before they reach the driver, by software, to the
// size that the path takes.

// Requests of the ethtool ioctl (include/uapi/linux/ethtool.h).
const (
	ethtoolGetSetInfo  = 0x37
	ethtoolGetStrings  = 0x1b
	ethtoolGetFeatures = 0x3a
	ethtoolSetFeatures = 0x3b

	setFeatures  = 4  // ETH_SS_FEATURES
	stringLength = 32 // ETH_GSTRING_LEN
	maxFeatures  = 1024
)

// segmentation returns the names of the TCP segmentation offloads that an
// interface is asked to do, sorted, with commas.
func segmentation(name string) (string, error) {
	s, err := openFeatures(name)
	if err != nil {
		return "", err
	}
	defer s.close()
	requested, err := s.requested()
	if err != nil {
		return "", err
	}
	var on []string
	for bit, feature := range s.names {
		if isSegmentation(feature) && requested[bit/32]&(1<<(bit%32)) != 0 {
			on = append(on, feature)
		}
	}
	slices.Sort(on)
	return strings.Join(on, ","), nil
}

// setSegmentation asks an interface to do exactly these.
func setSegmentation(name, list string) error {
	s, err := openFeatures(name)
	if err != nil {
		return err
	}
	defer s.close()
	on := strings.Split(list, ",")
	blocks := (len(s.names) + 31) / 32
	request := make([]uint32, 2+2*blocks) // struct ethtool_sfeatures: cmd, size, {valid, requested}...
	request[0], request[1] = ethtoolSetFeatures, uint32(blocks)
	for bit, feature := range s.names {
		if !isSegmentation(feature) {
			continue
		}
		block := request[2+2*(bit/32):]
		block[0] |= 1 << (bit % 32)
		if slices.Contains(on, feature) {
			block[1] |= 1 << (bit % 32)
		}
	}
	return s.ioctl("set features", request)
}

// isSegmentation tells the features that let a driver cut TCP packets:
// tx-tcp-segmentation, tx-tcp6-segmentation, tx-tcp-ecn-segmentation and their kin.
func isSegmentation(feature string) bool {
	return strings.HasPrefix(feature, "tx-tcp") && strings.HasSuffix(feature, "-segmentation")
}

// features is a socket to ask about one interface, and what its features are
// called, by bit.
type features struct {
	socket int
	name   string
	names  []string
}

func openFeatures(name string) (*features, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &features{socket: fd, name: name}
	if err := s.readNames(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *features) close() { _ = unix.Close(s.socket) }

func (s *features) readNames() error {
	// struct ethtool_sset_info: cmd, reserved, a mask of 64 bits, a length for each bit
	// of it.
	info := []uint32{ethtoolGetSetInfo, 0, 0, 0, 0}
	mask := (*uint64)(unsafe.Pointer(&info[2]))
	*mask = 1 << setFeatures
	if err := s.ioctl("count features", info); err != nil {
		return err
	}
	n := int(info[4])
	if *mask == 0 || n == 0 || n > maxFeatures {
		return fmt.Errorf("%s has %d features", s.name, n)
	}
	// struct ethtool_gstrings: cmd, set, length, strings.
	strings32 := make([]uint32, 3+n*stringLength/4)
	strings32[0], strings32[1], strings32[2] = ethtoolGetStrings, setFeatures, uint32(n)
	if err := s.ioctl("name features", strings32); err != nil {
		return err
	}
	var text []byte
	for _, w := range strings32[3:] {
		text = binary.NativeEndian.AppendUint32(text, w)
	}
	for one := range slices.Chunk(text, stringLength) {
		s.names = append(s.names, unix.ByteSliceToString(one))
	}
	return nil
}

// requested returns the bits that the interface is asked for: what it does
// depends on other features as well.
func (s *features) requested() ([]uint32, error) {
	blocks := (len(s.names) + 31) / 32
	// struct ethtool_gfeatures: cmd, size, {available, requested, active, never changed}...
	answer := make([]uint32, 2+4*blocks)
	answer[0], answer[1] = ethtoolGetFeatures, uint32(blocks)
	if err := s.ioctl("read features", answer); err != nil {
		return nil, err
	}
	bits := make([]uint32, blocks)
	for i := range bits {
		bits[i] = answer[2+4*i+1]
	}
	return bits, nil
}

// ioctl sends a request; words are request and answer.
func (s *features) ioctl(what string, words []uint32) error {
	// struct ifreq: the name, then a pointer.
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:unix.IFNAMSIZ-1], s.name)
	request.data = unsafe.Pointer(&words[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return fmt.Errorf("%s of %s: %w", what, s.name, errno)
	}
	return nil
}
