package vfiouser_test

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usb4mesh/usb4mesh/emulator/vfiouser/vfiousertest"
)

// FuzzServer feeds a server a stream of bytes as a client would; every message may carry a
// descriptor. The server must end, answer or wait, and never panic.
func FuzzServer(f *testing.F) {
	message := func(command byte, body []byte) []byte {
		b := make([]byte, 16, 16+len(body))
		b[2] = command
		binary.LittleEndian.PutUint32(b[4:], uint32(16+len(body)))
		return append(b, body...)
	}
	version := message(vfiousertest.Version, []byte{0, 0, 0, 0})
	for _, m := range [][]byte{
		nil,
		message(vfiousertest.GetInfo, make([]byte, 16)),
		message(vfiousertest.DMAMap, vfiousertest.MapBody(0x1000, 4096, 0)),
		message(vfiousertest.DMAUnmap, vfiousertest.UnmapBody(0x1000, 4096)),
		message(vfiousertest.SetIRQs, vfiousertest.SetIRQsBody(4|32, 2, 0, 1)),
		message(vfiousertest.RegionWrite, append(vfiousertest.Access(0, 0, 1), 1)),
		message(vfiousertest.RegionRead, vfiousertest.Access(0, 255, 1)),
	} {
		f.Add(append(append([]byte(nil), version...), m...), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, pass bool) {
		if len(stream) > 1<<16 {
			t.Skip("longer than a few messages")
		}
		conn, ended := serve(t, &device{})
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			buf := make([]byte, 4096)
			for {
				if _, err := conn.Read(buf); err != nil {
					return
				}
			}
		}()
		var oob []byte
		if pass {
			fd, _ := vfiousertest.Memfd(t, 8192)
			oob = unix.UnixRights(fd)
		}
		// A server that has refused hangs up: the rest can't be sent.
		if _, _, err := conn.WriteMsgUnix(stream, oob, nil); err == nil {
			_ = conn.CloseWrite()
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Log(err) // what the client did wrong
			}
		case <-time.After(20 * time.Second):
			t.Error("the server has not ended with the stream")
		}
		_ = conn.Close()
		<-drained
	})
}
