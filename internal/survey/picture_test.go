package survey

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

// hostile has names that would break a picture or a page that does not escape.
func hostile() *Report {
	r := healthy(4)
	evil := `<script>alert("x")</script>&`
	r.Mesh = evil
	for i := range r.Nodes {
		r.Nodes[i] = strings.Replace(r.Nodes[i], "n0", evil, 1)
	}
	for i := range r.Pairs {
		r.Pairs[i].From = strings.Replace(r.Pairs[i].From, "n0", evil, 1)
		r.Pairs[i].To = strings.Replace(r.Pairs[i].To, "n0", evil, 1)
		r.Pairs[i].Evidence[evil] = evil
	}
	r.Pairs[1].Result, r.Pairs[1].Error = nil, evil
	r.judge(nil)
	return r
}

func TestSVG(t *testing.T) {
	d := xml.NewDecoder(bytes.NewReader(hostile().SVG()))
	texts := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			if e.Name.Local == "script" {
				t.Error("a script got in")
			}
			if e.Name.Local == "text" {
				texts++
			}
		}
	}
	// Title, summary, and for each of three maps: two lines, names at both sides, a
	// value per pair.
	if want := 2 + 3*(2+2*4+12); texts != want {
		t.Errorf("%d texts, want %d", texts, want)
	}
}

func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := hostile().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script") {
		t.Error("a script got in")
	}
	// Nothing is fetched from anywhere: no reference but the name of the SVG format.
	for _, m := range regexp.MustCompile(`(?i)(src|href|url\(|@import|https?://[^\s"']*)`).FindAllString(page, -1) {
		t.Errorf("the page refers to something: %s", m)
	}
	if strings.Count(page, "<svg") < 3+11 || strings.Count(page, "<tr>") < 12 {
		t.Errorf("%d pictures, %d rows", strings.Count(page, "<svg"), strings.Count(page, "<tr>"))
	}
}
