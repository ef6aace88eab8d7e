package finding

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testKind = Register(Kind{Code: "test-kind", Severity: Error, Title: "Only in tests", Explain: "Not a real finding."})

func TestPrint(t *testing.T) {
	at := func(line, column, width int, source string) Finding {
		f := New(testKind, "something is wrong").Hinted("do it so")
		f.Pos, f.Width, f.Source = Pos{"mesh.yaml", line, column}, width, source
		return f
	}
	for _, tt := range []struct {
		name    string
		finding Finding
		want    string
	}{
		{"no place", New(testKind, "something is wrong"), "error: something is wrong [test-kind]\n"},
		{"caret under the word", at(12, 5, 3, "    mtu: 99"),
			"mesh.yaml:12:5: error: something is wrong [test-kind]\n   12 |     mtu: 99\n      |     ^^^\n  hint: do it so\n"},
		{"columns are characters", at(1, 7, 4, "näme: größe"),
			"mesh.yaml:1:7: error: something is wrong [test-kind]\n    1 | näme: größe\n      |       ^^^^\n  hint: do it so\n"},
		{"a tab takes one cell", at(2, 2, 0, "\tx: 1"),
			"mesh.yaml:2:2: error: something is wrong [test-kind]\n    2 | →x: 1\n      |  ^\n  hint: do it so\n"},
		{"column behind the line's end", at(3, 9, 1, "abc"),
			"mesh.yaml:3:9: error: something is wrong [test-kind]\n    3 | abc\n      |    ^\n  hint: do it so\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := (Printer{W: &b}).Print(tt.finding); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}

// A hostile file must not be able to drive the terminal.
func TestPrintKeepsControlCharactersOut(t *testing.T) {
	f := New(testKind, "unknown key %q", "\x1b[2J")
	f.Pos, f.Source = Pos{"m\x1b[1m.yaml", 1, 1}, "\x1b[2J\x07: evil"
	f.Hint = "not \x1b]0;title\x07"
	var b strings.Builder
	if err := (Printer{W: &b}).Print(f); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\x07") {
		t.Errorf("control characters reach the terminal: %q", b.String())
	}
}

func TestColourCarriesNoMeaning(t *testing.T) {
	f := New(testKind, "something is wrong")
	f.Pos, f.Source = Pos{"mesh.yaml", 1, 1}, "x"
	var plain, coloured strings.Builder
	_ = Printer{W: &plain}.Print(f)
	_ = Printer{W: &coloured, Color: true}.Print(f)
	stripped := coloured.String()
	for _, code := range []string{"\x1b[1m", "\x1b[31m", "\x1b[1;31m", "\x1b[0m"} {
		stripped = strings.ReplaceAll(stripped, code, "")
	}
	if stripped != plain.String() || stripped == coloured.String() {
		t.Errorf("with colour %q, without %q", coloured.String(), plain.String())
	}
}

func TestJSON(t *testing.T) {
	f := New(testKind, "a <b> & c").Hinted("h")
	f.Pos = Pos{"mesh.yaml", 2, 3}
	got, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(got, &fields); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"code": "test-kind", "severity": "error", "file": "mesh.yaml", "line": 2.0, "column": 3.0, "message": "a <b> & c", "hint": "h"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestSort(t *testing.T) {
	mk := func(line, column int, s Severity) Finding {
		f := Finding{Kind: testKind, Severity: s}
		if line > 0 {
			f.Pos = Pos{"f", line, column}
		}
		return f
	}
	fs := []Finding{mk(0, 0, Error), mk(3, 1, Warning), mk(3, 1, Error), mk(1, 9, Info)}
	Sort(fs)
	var got []string
	for _, f := range fs {
		got = append(got, f.Pos.String()+" "+f.Severity.String())
	}
	if diff := cmp.Diff([]string{"f:1:9 info", "f:3:1 error", "f:3:1 warning", " error"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestRegisterRefuses(t *testing.T) {
	for _, code := range []string{"", "test-kind", "Not Kebab"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Register took the code %q", code)
				}
			}()
			Register(Kind{Code: code})
		}()
	}
}
