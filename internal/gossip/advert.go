package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"unicode"
	"unicode/utf8"
)

// advert is all that a node says of itself: one message, always whole, so that a
// newer one replaces an older one and nothing has to be withdrawn.
//
// Instance is drawn when a process starts. It tells a restarted node's words
// from those of its former life, and shows two machines that are one node.
type advert struct {
	Origin   string
	Instance uint64
	Seq      uint64
	Links    []LinkState // Node and Seq are not filled in
	Notes    []note      // sorted by key
}

type note struct{ Key, Value string }

// newer reports whether a replaces b. Equal numbers of two lives need an order
// too, any order, as long as all nodes agree.
func (a *advert) newer(b *advert) bool {
	return a.Seq > b.Seq || a.Seq == b.Seq && a.Instance > b.Instance
}

// print is a fingerprint of which advert this is.
func (a *advert) print() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(a.Origin))
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Instance)
	binary.BigEndian.PutUint64(b[8:], a.Seq)
	_, _ = h.Write(b[:])
	return h.Sum64()
}

func (a *advert) note(key string) string {
	for _, n := range a.Notes {
		if n.Key == key {
			return n.Value
		}
	}
	return ""
}

// The form on the wire. Strings are a length byte and UTF-8 without control
// characters; instance is 8 bytes, seq a varint of encoding/binary.
//
//	version(1) origin instance seq
//	count { flags cable why }     flags: bit 0 up, bits 1-2 healing
//	count { key value }
//
// A later version of the protocol gets another first byte.
const wireVersion = 1

const (
	maxSeq    = 1 << 62 // nobody counts so far, and nobody may put a number out of reach
	maxAdvert = 1 + 1 + MaxName + 8 + binary.MaxVarintLen64 +
		1 + MaxLinks*(1+1+MaxName+1+MaxWhy) +
		1 + MaxNotes*(1+MaxKey+1+MaxValue)
)

var heals = [...]Heal{HealNone, HealActing, HealDone}

// encode writes what decode reads; a is within the limits.
func (a *advert) encode() []byte {
	b := make([]byte, 0, 64+len(a.Links)*32)
	b = append(b, wireVersion)
	b = appendString(b, a.Origin)
	b = binary.BigEndian.AppendUint64(b, a.Instance)
	b = binary.AppendUvarint(b, a.Seq)
	b = append(b, byte(len(a.Links)))
	for _, l := range a.Links {
		flags := byte(slices.Index(heals[:], l.Heal)) << 1
		if l.Up {
			flags |= 1
		}
		b = append(b, flags)
		b = appendString(b, l.Cable)
		b = appendString(b, l.Why)
	}
	b = append(b, byte(len(a.Notes)))
	for _, n := range a.Notes {
		b = appendString(b, n.Key)
		b = appendString(b, n.Value)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

var (
	errShort = errors.New("ends too early")
	errText  = errors.New("text that is no text")
)

// decode reads one advert, which must fill b. Only one sequence of bytes
// stands for an advert, and nothing outside of the limits is accepted.
func decode(b []byte) (*advert, error) {
	if len(b) > maxAdvert {
		return nil, fmt.Errorf("%d bytes, %d at most", len(b), maxAdvert)
	}
	r := reader{b: b}
	if v := r.byte(); r.err == nil && v != wireVersion {
		return nil, fmt.Errorf("version %d, this is %d", v, wireVersion)
	}
	a := &advert{Origin: r.string(1, MaxName), Instance: r.uint64(), Seq: r.uvarint()}
	for range r.count(MaxLinks) {
		flags := r.byte()
		l := LinkState{Up: flags&1 != 0, Cable: r.string(1, MaxName), Why: r.string(0, MaxWhy)}
		if int(flags>>1) >= len(heals) {
			r.fail(fmt.Errorf("flags %#x", flags))
			break
		}
		l.Heal = heals[flags>>1]
		a.Links = append(a.Links, l)
	}
	for range r.count(MaxNotes) {
		a.Notes = append(a.Notes, note{r.string(1, MaxKey), r.string(0, MaxValue)})
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case len(r.b) > 0:
		return nil, fmt.Errorf("%d bytes behind the end", len(r.b))
	case a.Seq == 0 || a.Seq > maxSeq:
		return nil, fmt.Errorf("sequence number %d", a.Seq)
	}
	for i := 1; i < len(a.Links); i++ {
		if a.Links[i-1].Cable >= a.Links[i].Cable {
			return nil, errors.New("cables out of order")
		}
	}
	for i := 1; i < len(a.Notes); i++ {
		if a.Notes[i-1].Key >= a.Notes[i].Key {
			return nil, errors.New("notes out of order")
		}
	}
	return a, nil
}

// reader takes from b; after the first failure it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err, r.b = err, nil
	}
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(errShort)
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 { // the latter: longer than need be
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) count(most int) int {
	n := int(r.byte())
	if n > most {
		r.fail(fmt.Errorf("%d entries, %d at most", n, most))
		return 0
	}
	return n
}

func (r *reader) string(least, most int) string {
	n := int(r.byte())
	if r.err == nil && (n < least || n > most) {
		r.fail(fmt.Errorf("a string of %d bytes", n))
	}
	if r.err != nil {
		return ""
	}
	s := string(r.take(n))
	if clean(s, most) != s {
		r.fail(errText)
		return ""
	}
	return s
}

// clean makes s fit: valid UTF-8 without control characters, of at most so
// many bytes.
func clean(s string, most int) string {
	good := true
	for i, c := range s {
		if c == utf8.RuneError || !unicode.IsPrint(c) || i+utf8.RuneLen(c) > most {
			good = false
			break
		}
	}
	if good {
		return s
	}
	b := make([]byte, 0, most)
	for _, c := range s {
		if !unicode.IsPrint(c) {
			c = utf8.RuneError
		}
		if len(b)+utf8.RuneLen(c) > most {
			break
		}
		if c != utf8.RuneError { // what can't be shown is left out
			b = utf8.AppendRune(b, c)
		}
	}
	return string(b)
}

// A state, as push/pull carries it, is adverts one after the other, each behind
// its length in two bytes. What does not fit into limit bytes is left out, the
// node's own comes first.
func encodeState(adverts []*advert, limit int) []byte {
	var b []byte
	for _, a := range adverts {
		m := a.encode()
		if len(b)+2+len(m) > limit {
			break
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(m)))
		b = append(b, m...)
	}
	return b
}

// decodeState calls f for each advert. An advert that is no good ends nothing:
// those behind it are read all the same. The first error is returned.
func decodeState(b []byte, f func(*advert)) error {
	var first error
	for len(b) > 0 {
		if len(b) < 2 {
			return cmpErr(first, errShort)
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) {
			return cmpErr(first, errShort)
		}
		a, err := decode(b[:n])
		if b = b[n:]; err != nil {
			first = cmpErr(first, err)
			continue
		}
		f(a)
	}
	return first
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
