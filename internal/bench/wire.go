package bench

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// state is a byte of the control connection (iperf_api.h).
type state int8

const (
	testStart       state = 1
	testRunning     state = 2
	testEnd         state = 4
	paramExchange   state = 9
	createStreams   state = 10
	serverTerminate state = 11
	clientTerminate state = 12
	exchangeResults state = 13
	displayResults  state = 14
	iperfDone       state = 16
	accessDenied    state = -1
	serverError     state = -2
)

const (
	cookieSize = 37 // 36 characters and a NUL
	maxParams  = 8 << 10
	maxResults = 256 << 10        // iperf3 may add its whole report
	patience   = 10 * time.Second // for each step of a handshake
)

// newCookie makes the secret that ties streams to their test, in iperf3's alphabet.
func newCookie() [cookieSize]byte {
	var raw [23]byte
	_, _ = rand.Read(raw[:]) // never fails
	var c [cookieSize]byte
	copy(c[:cookieSize-1], strings.ToLower(base32.StdEncoding.EncodeToString(raw[:])))
	return c
}

// control is the control connection of a test.
type control struct{ net.Conn }

func (c control) deadline(d time.Duration) { _ = c.SetDeadline(time.Now().Add(d)) } // closed: the next call tells

func (c control) say(s state) error {
	_, err := c.Write([]byte{byte(s)})
	return err
}

func (c control) hear() (state, error) {
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	if errors.Is(err, io.EOF) {
		err = errors.New("the other side closed the connection")
	}
	return state(int8(b[0])), err
}

// expect reads one state and explains any other than the one wanted.
func (c control) expect(want state) error {
	got, err := c.hear()
	if err != nil {
		return err
	}
	return c.explain(got, want)
}

// explain turns a state that is not the wanted one into an error.
func (c control) explain(got, want state) error {
	switch got {
	case want:
		return nil
	case accessDenied:
		return ErrBusy
	case serverTerminate, clientTerminate:
		return errors.New("the other side ended the test early")
	case serverError:
		var b [8]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return errors.New("the server reports an error")
		}
		code, errno := binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint32(b[4:])
		if errno != 0 && errno < 4096 {
			return fmt.Errorf("the server reports iperf3 error %d: %w", code, syscall.Errno(errno))
		}
		return fmt.Errorf("the server reports iperf3 error %d", code)
	}
	return fmt.Errorf("protocol: state %d came where %d belongs", got, want)
}

// ErrBusy says that the server is in another test, or takes none from here.
var ErrBusy = errors.New("the server is busy with another test, or takes none from this address")

// sendJSON writes a length and a value.
func (c control) sendJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// readJSON reads a length and a value of at most limit bytes.
func (c control) readJSON(v any, limit int) error { return decodeFrame(c, v, limit) }

func decodeFrame(r io.Reader, v any, limit int) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > uint32(limit) {
		return fmt.Errorf("a message of %d bytes is longer than %d", n, limit)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return nil
}
