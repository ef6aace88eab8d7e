package remote

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// version is that of this protocol.
const version = 1

// A frame is one byte that says what it is, four bytes of length, and as many bytes. A
// connection carries a request, then answers: to a hold one frame granted, to a job any
// number of frames output; the frame end is the last in any case. The one who asked says
// nothing more, and ends what it asked for by closing its side.
const (
	frameRequest = 'q' // JSON of request
	frameGranted = 'g' // JSON of granted
	frameOutput  = 'o' // what the program printed
	frameEnd     = 'e' // JSON of ending
)

const (
	headLength = 5
	maxRequest = 64 << 10 // a server of 512 nodes needs half of it
	maxChunk   = 32 << 10 // of output
)

// request is the first and only thing that a coordinator says on a connection.
type request struct {
	Version     int           `json:"version"`
	Mesh        string        `json:"mesh"`
	Digest      string        `json:"digest"` // of the plan
	Session     string        `json:"session"`
	Coordinator string        `json:"coordinator"`   // what it calls itself
	Limit       time.Duration `json:"limit"`         // of a hold: it needs the node no longer than this
	Job         *Job          `json:"job,omitempty"` // none: to hold the node for the session
}

// granted answers a hold.
type granted struct {
	Node    string `json:"node"`
	Version string `json:"version"` // of the program
}

// ending says how it ended. Code is "" where all went well.
type ending struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Codes of endings.
const (
	codeVersion = "version" // another version of this protocol
	codePlan    = "plan"    // another mesh, or another plan of it
	codeBusy    = "busy"    // held for another session
	codeSession = "session" // a job of a session that does not hold the node
	codeBad     = "bad"     // not understood, or not permitted
	codeFailed  = "failed"  // the program failed
	codeOver    = "over"    // the time of the session is over, or the agent ends
)

// Lengths of text in a request.
const (
	maxName   = 256
	maxDigest = 64
	sessionID = 32 // hexadecimal digits
)

// parseRequest reads what may be anything, from someone who has the key. A version that
// is not ours is no error here: the rest may then look otherwise.
func parseRequest(b []byte) (request, error) {
	var peek struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &peek); err != nil {
		return request{}, errors.New("the request is no JSON")
	}
	if peek.Version != version {
		return request{Version: peek.Version}, nil
	}
	var r request
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return request{}, fmt.Errorf("the request is not understood: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return request{}, errors.New("something comes after the request")
	}
	switch {
	case len(r.Mesh) > maxName || len(r.Coordinator) > maxName || len(r.Digest) > maxDigest:
		return request{}, errors.New("a name in the request is too long")
	case len(r.Session) != sessionID || !hexadecimal(r.Session):
		return request{}, fmt.Errorf("a session has %d hexadecimal digits", sessionID)
	case r.Job == nil:
		return r, within("limit", r.Limit, time.Second, MaxSurvey)
	}
	return r, r.Job.check()
}

func hexadecimal(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// clean makes text of the other end fit to be shown: one line, nothing that a terminal obeys.
func clean(text string) string {
	text = string(bytes.ToValidUTF8([]byte(text), []byte("?")))
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, []byte(text)))
}

func writeFrame(w io.Writer, kind byte, body []byte) error {
	b := make([]byte, headLength, headLength+len(body))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

func writeMessage(w io.Writer, kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, kind, b)
}

// readFrame reads a frame of at most limit bytes.
func readFrame(r io.Reader, limit int) (kind byte, body []byte, err error) {
	var head [headLength]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > uint32(limit) {
		return 0, nil, fmt.Errorf("a message of %d bytes; at most %d are taken", n, limit)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}
