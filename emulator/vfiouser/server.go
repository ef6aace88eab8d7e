package vfiouser

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Server offers one device to one client at a time.
type Server struct {
	Device Device
	// Lock is held while Device is called.
	Lock sync.Locker
	// Log receives what clients do wrong, nil for nothing.
	Log *slog.Logger
}

// errRefused ends a connection after the reply has been sent.
var errRefused = errors.New("refused")

// Serve talks to the client until it goes away or ctx ends, and closes conn. A client that
// leaves is no error.
func (s *Server) Serve(ctx context.Context, conn *net.UnixConn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()

	c := &client{server: s, conn: conn, memory: &Memory{}, irqs: newInterrupts(s.Device.Vectors()), buf: make([]byte, headerSize+maxMessage)}
	s.Lock.Lock()
	s.Device.Attach(c.memory, c.irqs)
	s.Lock.Unlock()
	defer func() {
		s.Lock.Lock()
		defer s.Lock.Unlock()
		s.Device.Detach()
		c.memory.removeAll()
		c.irqs.close()
	}()
	for {
		if err := c.next(); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
				return nil
			}
			return err
		}
	}
}

type client struct {
	server *Server
	conn   *net.UnixConn
	memory *Memory
	irqs   *Interrupts
	agreed bool   // on a version
	buf    []byte // header and body of the message
	reply  []byte
	oob    [64 + 4*maxFDs]byte // unix.CmsgSpace(4*maxFDs) is less
}

// next handles one message.
func (c *client) next() error {
	fds, err := c.readFull(c.buf[:headerSize])
	defer func() { closeAll(fds) }()
	if err != nil {
		return err
	}
	h := parseHeader(c.buf)
	if h.flags&typeMask != 0 {
		return fmt.Errorf("message %d of type %d: only commands are expected", h.id, h.flags&typeMask)
	}
	if h.size < headerSize || h.size > headerSize+maxMessage {
		return fmt.Errorf("%s of %d bytes: between %d and %d are expected", commandName(h.command), h.size, headerSize, headerSize+maxMessage)
	}
	body := c.buf[headerSize:h.size]
	more, err := c.readFull(body)
	fds = append(fds, more...)
	if err != nil {
		return err
	}

	c.reply = append(c.reply[:0], make([]byte, headerSize)...)
	c.server.Lock.Lock()
	used, err := c.handle(h.command, body, fds)
	c.server.Lock.Unlock()
	if used {
		fds = nil
	}
	out := header{id: h.id, command: h.command, flags: typeReply}
	if err != nil {
		out.flags |= flagError
		out.errno = uint32(errnoOf(err))
		c.reply = c.reply[:headerSize]
		if c.server.Log != nil {
			c.server.Log.Warn("vfio-user: command failed", "command", commandName(h.command), "error", err)
		}
	}
	if h.flags&flagQuiet == 0 {
		out.size = uint32(len(c.reply))
		out.append(c.reply[:0])
		if _, werr := c.conn.Write(c.reply); werr != nil {
			return werr
		}
	}
	if errors.Is(err, errRefused) {
		return err
	}
	return nil
}

// handle answers one command in c.reply. It reports whether it has taken the descriptors.
func (c *client) handle(command uint16, body []byte, fds []int) (used bool, err error) {
	if command == cmdVersion {
		return false, c.version(body)
	}
	if !c.agreed {
		return false, fmt.Errorf("%s before VERSION: %w", commandName(command), errRefused)
	}
	switch command {
	case cmdDMAMap:
		return false, c.dmaMap(body, fds)
	case cmdDMAUnmap:
		return false, c.dmaUnmap(body)
	case cmdGetInfo:
		c.reply = words(c.reply, 16, deviceReset|devicePCI, numRegions, numIRQs)
		return false, nil
	case cmdGetRegionInfo:
		return false, c.regionInfo(body)
	case cmdGetIRQInfo:
		return false, c.irqInfo(body)
	case cmdSetIRQs:
		return c.setIRQs(body, fds)
	case cmdRegionRead:
		return false, c.regionRead(body)
	case cmdRegionWrite:
		return false, c.regionWrite(body)
	case cmdReset:
		c.server.Device.Reset()
		return false, nil
	}
	return false, fmt.Errorf("%s: %w", commandName(command), unix.EOPNOTSUPP)
}

// version agrees on version 0 of the protocol. QEMU announces 0.0 and refuses 0.1.
// write_multiple is left out of the capabilities, so that writes come one by one.
func (c *client) version(body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("VERSION of %d bytes: %w", len(body), unix.EINVAL)
	}
	major, minor := binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint16(body[2:])
	if major != 0 {
		return fmt.Errorf("version %d.%d: %w", major, minor, errRefused)
	}
	c.agreed = true
	c.reply = append(c.reply, 0, 0, 0, 0)
	c.reply = fmt.Appendf(c.reply, `{"capabilities":{"max_msg_fds":%d,"max_data_xfer_size":%d}}`, maxFDs, maxTransfer)
	c.reply = append(c.reply, 0)
	return nil
}

// dmaMap: argsz, flags, offset, address, size (vfio_user_dma_map).
func (c *client) dmaMap(body []byte, fds []int) error {
	if len(body) < 32 || len(fds) > 1 {
		return fmt.Errorf("DMA_MAP of %d bytes, %d descriptors: %w", len(body), len(fds), unix.EINVAL)
	}
	flags := binary.LittleEndian.Uint32(body[4:])
	offset, addr, size := binary.LittleEndian.Uint64(body[8:]), binary.LittleEndian.Uint64(body[16:]), binary.LittleEndian.Uint64(body[24:])
	fd := -1
	if len(fds) == 1 {
		fd = fds[0]
	}
	if err := c.memory.add(addr, size, fd, offset, flags&2 != 0); err != nil {
		return fmt.Errorf("DMA_MAP of %#x bytes at %#x: %w", size, addr, err)
	}
	return nil
}

// dmaUnmap: argsz, flags, address, size (vfio_user_dma_unmap); the reply repeats it.
func (c *client) dmaUnmap(body []byte) error {
	if len(body) < 24 {
		return fmt.Errorf("DMA_UNMAP of %d bytes: %w", len(body), unix.EINVAL)
	}
	if binary.LittleEndian.Uint32(body[4:])&unmapAll != 0 {
		c.memory.removeAll()
	} else {
		addr, size := binary.LittleEndian.Uint64(body[8:]), binary.LittleEndian.Uint64(body[16:])
		if err := c.memory.remove(addr, size); err != nil {
			return fmt.Errorf("DMA_UNMAP of %#x bytes at %#x: %w", size, addr, err)
		}
	}
	c.reply = append(c.reply, body[:24]...)
	return nil
}

// regionInfo: argsz, flags, index, cap_offset, size, offset (vfio_region_info).
func (c *client) regionInfo(body []byte) error {
	if len(body) < 32 {
		return fmt.Errorf("DEVICE_GET_REGION_INFO of %d bytes: %w", len(body), unix.EINVAL)
	}
	index := binary.LittleEndian.Uint32(body[8:])
	if index >= numRegions {
		return fmt.Errorf("region %d: %w", index, unix.EINVAL)
	}
	size, flags := c.server.Device.RegionSize(int(index)), uint32(0)
	if size > 0 {
		flags = regionRead | regionWrite
	}
	c.reply = words(c.reply, 32, flags, index, 0)
	c.reply = binary.LittleEndian.AppendUint64(c.reply, size)
	c.reply = binary.LittleEndian.AppendUint64(c.reply, 0)
	return nil
}

// irqInfo: argsz, flags, index, count (vfio_irq_info).
func (c *client) irqInfo(body []byte) error {
	if len(body) < 16 {
		return fmt.Errorf("DEVICE_GET_IRQ_INFO of %d bytes: %w", len(body), unix.EINVAL)
	}
	index := binary.LittleEndian.Uint32(body[8:])
	if index >= numIRQs {
		return fmt.Errorf("kind of interrupt %d: %w", index, unix.EINVAL)
	}
	if index == irqMSIX {
		c.reply = words(c.reply, 16, irqEventfd|irqNoResize, index, uint32(len(c.irqs.fds)))
	} else {
		c.reply = words(c.reply, 16, 0, index, 0)
	}
	return nil
}

// setIRQs: argsz, flags, index, start, count, data (vfio_irq_set). QEMU sends runs of
// vectors that all have an eventfd, or that all have none.
func (c *client) setIRQs(body []byte, fds []int) (used bool, err error) {
	if len(body) < 20 {
		return false, fmt.Errorf("DEVICE_SET_IRQS of %d bytes: %w", len(body), unix.EINVAL)
	}
	flags, index := binary.LittleEndian.Uint32(body[4:]), binary.LittleEndian.Uint32(body[8:])
	start, count := binary.LittleEndian.Uint32(body[12:]), binary.LittleEndian.Uint32(body[16:])
	if index != irqMSIX {
		if count != 0 {
			return false, fmt.Errorf("kind of interrupt %d: %w", index, unix.EINVAL)
		}
		return false, nil
	}
	n := uint32(len(c.irqs.fds))
	if start > n || count > n-start {
		return false, fmt.Errorf("vectors %d to %d of %d: %w", start, uint64(start)+uint64(count), n, unix.EINVAL)
	}
	if flags&setActionTrigger == 0 {
		return false, nil // QEMU masks vectors in the table it emulates
	}
	switch {
	case flags&setDataEventfd != 0:
		if len(fds) != 0 && len(fds) != int(count) {
			return false, fmt.Errorf("%d eventfds for %d vectors: %w", len(fds), count, unix.EINVAL)
		}
		c.irqs.set(int(start), int(count), fds)
		return true, nil
	case flags&setDataNone != 0 && count == 0:
		c.irqs.close()
	case flags&setDataNone != 0:
		for v := start; v < start+count; v++ {
			c.irqs.Trigger(int(v))
		}
	}
	return false, nil
}

// access reads the start of a region access: offset, region, count.
func (c *client) access(body []byte) (region int, offset uint64, count uint32, err error) {
	if len(body) < 16 {
		return 0, 0, 0, fmt.Errorf("access of %d bytes: %w", len(body), unix.EINVAL)
	}
	offset = binary.LittleEndian.Uint64(body)
	index, count := binary.LittleEndian.Uint32(body[8:]), binary.LittleEndian.Uint32(body[12:])
	if index >= numRegions || count > maxTransfer {
		return 0, 0, 0, fmt.Errorf("%d bytes of region %d: %w", count, index, unix.EINVAL)
	}
	size := c.server.Device.RegionSize(int(index))
	if offset > size || uint64(count) > size-offset {
		return 0, 0, 0, fmt.Errorf("%d bytes at %#x of region %d, which has %#x: %w", count, offset, index, size, unix.EINVAL)
	}
	return int(index), offset, count, nil
}

func (c *client) regionRead(body []byte) error {
	region, offset, count, err := c.access(body)
	if err != nil {
		return fmt.Errorf("REGION_READ: %w", err)
	}
	c.reply = append(c.reply, body[:16]...)
	n := len(c.reply)
	c.reply = append(c.reply, make([]byte, count)...)
	c.server.Device.ReadRegion(region, offset, c.reply[n:])
	return nil
}

func (c *client) regionWrite(body []byte) error {
	region, offset, count, err := c.access(body)
	if err != nil {
		return fmt.Errorf("REGION_WRITE: %w", err)
	}
	if len(body)-16 != int(count) {
		return fmt.Errorf("REGION_WRITE: %d bytes of data, %d announced: %w", len(body)-16, count, unix.EINVAL)
	}
	c.server.Device.WriteRegion(region, offset, body[16:])
	c.reply = append(c.reply, body[:16]...)
	return nil
}

// readFull fills p and returns the descriptors that came with it, even with an error.
func (c *client) readFull(p []byte) (fds []int, err error) {
	for len(p) > 0 {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(p, c.oob[:])
		if oobn > 0 {
			got, perr := parseRights(c.oob[:oobn])
			fds = append(fds, got...)
			if perr != nil || len(fds) > maxFDs {
				return fds, fmt.Errorf("%d descriptors with one message: %w", len(fds), unix.EINVAL)
			}
		}
		if err != nil {
			return fds, err
		}
		if n == 0 {
			return fds, io.EOF
		}
		p = p[n:]
	}
	return fds, nil
}

func parseRights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func errnoOf(err error) unix.Errno {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return unix.EINVAL
}
