package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var sample = &advert{
	Origin: "03", Instance: 0x0102030405060708, Seq: 300,
	Links: []LinkState{
		{Cable: "1", Up: true},
		{Cable: "küche", Why: "no carrier", Heal: HealActing},
		{Cable: "x", Why: "dead", Heal: HealDone},
	},
	Notes: []note{{"plan", "sha256:0123"}, {"v", ""}},
}

func TestAdvertForm(t *testing.T) {
	want := "\x01\x0203" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\xac\x02" +
		"\x03" + "\x01\x011\x00" + "\x02\x06küche\x0ano carrier" + "\x04\x01x\x04dead" +
		"\x02" + "\x04plan\x0bsha256:0123" + "\x01v\x00"
	if got := string(sample.encode()); got != want {
		t.Errorf("encoded as %q, want %q", got, want)
	}
	got, err := decode([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAdvertRefused(t *testing.T) {
	edit := func(f func(*advert)) []byte {
		a := *sample
		a.Links, a.Notes = slices.Clone(a.Links), slices.Clone(a.Notes)
		f(&a)
		return a.encode()
	}
	long := strings.Repeat("x", 64)
	tests := map[string][]byte{
		"nothing":           nil,
		"another version":   append([]byte{2}, sample.encode()[1:]...),
		"something behind":  append(sample.encode(), 0),
		"no origin":         edit(func(a *advert) { a.Origin = "" }),
		"long origin":       edit(func(a *advert) { a.Origin = long }),
		"control character": edit(func(a *advert) { a.Origin = "a\x1b[31m" }),
		"no UTF-8":          edit(func(a *advert) { a.Links[0].Cable = "\xff" }),
		"right to left":     edit(func(a *advert) { a.Links[0].Why = "\u202e" }),
		"no cable":          edit(func(a *advert) { a.Links[0].Cable = "" }),
		"long reason":       edit(func(a *advert) { a.Links[0].Why = long }),
		"number 0":          edit(func(a *advert) { a.Seq = 0 }),
		"number too high":   edit(func(a *advert) { a.Seq = maxSeq + 1 }),
		"cable twice":       edit(func(a *advert) { a.Links[1].Cable = "1" }),
		"cables unsorted":   edit(func(a *advert) { a.Links[0].Cable = "z" }),
		"notes unsorted":    edit(func(a *advert) { a.Notes[0].Key = "z" }),
		"too many links": edit(func(a *advert) {
			a.Links = nil
			for i := range MaxLinks + 1 {
				a.Links = append(a.Links, LinkState{Cable: fmt.Sprintf("%03d", i)})
			}
		}),
		"too long":        make([]byte, maxAdvert+1),
		"unknown healing": []byte(strings.Replace(string(sample.encode()), "\x04\x01x", "\x06\x01x", 1)),
		"unknown flag":    []byte(strings.Replace(string(sample.encode()), "\x04\x01x", "\x84\x01x", 1)),
		"number with a tail": []byte(strings.Replace(string(sample.encode()),
			"\xac\x02", "\xac\x82\x00", 1)),
	}
	whole := sample.encode()
	for i := range whole {
		tests[fmt.Sprintf("cut off after %d", i)] = whole[:i]
	}
	for name, b := range tests {
		if a, err := decode(b); err == nil {
			t.Errorf("%s: accepted as %+v", name, a)
		}
	}
}

// The longest advert is as long as said, and can be read.
func TestAdvertLongest(t *testing.T) {
	a := &advert{Origin: strings.Repeat("o", MaxName), Instance: 1, Seq: maxSeq}
	for i := range MaxLinks {
		a.Links = append(a.Links, LinkState{Cable: fmt.Sprintf("%0*d", MaxName, i), Why: strings.Repeat("w", MaxWhy)})
	}
	for i := range MaxNotes {
		a.Notes = append(a.Notes, note{fmt.Sprintf("%0*d", MaxKey, i), strings.Repeat("v", MaxValue)})
	}
	b := a.encode()
	if len(b) > maxAdvert || len(b) < maxAdvert-1 {
		t.Errorf("%d bytes, the limit is %d", len(b), maxAdvert)
	}
	if maxAdvert+1+2+255+1+nonceSize+tagSize > maxPacket {
		t.Errorf("an advert of %d bytes does not fit into a packet of %d", maxAdvert, maxPacket)
	}
	if _, err := decode(b); err != nil {
		t.Error(err)
	}
}

func TestState(t *testing.T) {
	other := &advert{Origin: "02", Seq: 7}
	b := encodeState([]*advert{sample, other}, 1<<20)
	read := func(b []byte) (got []string, err error) {
		err = decodeState(b, func(a *advert) { got = append(got, a.Origin) })
		return got, err
	}
	if got, err := read(b); err != nil || !slices.Equal(got, []string{"03", "02"}) {
		t.Errorf("read %v, %v", got, err)
	}
	broken := slices.Clone(b)
	broken[2] = 99 // the version of the first
	if got, err := read(broken); err == nil || !slices.Equal(got, []string{"02"}) {
		t.Errorf("behind a broken advert: %v, %v", got, err)
	}
	if got, err := read(b[:len(b)-1]); err == nil || !slices.Equal(got, []string{"03"}) {
		t.Errorf("cut off: %v, %v", got, err)
	}
	if got, _ := read(encodeState([]*advert{sample, other}, len(b)-1)); !slices.Equal(got, []string{"03"}) {
		t.Errorf("with a limit: %v", got)
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct {
		in   string
		most int
		want string
	}{
		{"dead", 48, "dead"},
		{"", 48, ""},
		{"two\nlines\x00", 48, "twolines"},
		{"\xff\xfebad", 48, "bad"},
		{"äöü", 4, "äö"},
		{"äöü", 5, "äö"},
		{"a\ufffdb", 9, "ab"},
	} {
		if got := clean(tt.in, tt.most); got != tt.want {
			t.Errorf("clean(%q, %d) = %q, want %q", tt.in, tt.most, got, tt.want)
		}
	}
}

// What Announce and Note let through can always be read by the others.
func TestAnnounceIsReadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStore(&Config{Node: "01"}, 1)
		link := rapid.Custom(func(t *rapid.T) LinkState {
			return LinkState{
				Node: "other", Cable: rapid.String().Draw(t, "cable"), Up: rapid.Bool().Draw(t, "up"),
				Why: rapid.String().Draw(t, "why"), Heal: Heal(rapid.SampledFrom([]string{"", "acting", "done", "else"}).Draw(t, "heal")),
			}
		})
		for range rapid.IntRange(0, 12).Draw(t, "notes") {
			s.note(rapid.String().Draw(t, "key"), rapid.String().Draw(t, "value"))
		}
		s.announce(rapid.SliceOfN(link, 0, 80).Draw(t, "links"))
		a := s.get("01")
		got, err := decode(a.encode())
		if err != nil {
			t.Fatalf("%v: %+v", err, a)
		}
		if !bytes.Equal(got.encode(), a.encode()) {
			t.Fatalf("read as %+v, said was %+v", got, a)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(sample.encode())
	f.Add(encodeState([]*advert{sample, {Origin: "a", Seq: 1}}, 1<<20))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(a *advert) {
			if len(a.Links) > MaxLinks || len(a.Notes) > MaxNotes || a.Seq == 0 || a.Seq > maxSeq || !utf8.ValidString(a.Origin) {
				t.Fatalf("accepted %+v", a)
			}
		}
		if a, err := decode(b); err == nil {
			check(a)
			if got := a.encode(); !bytes.Equal(got, b) {
				t.Fatalf("%x was read, and written as %x", b, got)
			}
		}
		_ = decodeState(b, check)
	})
}
