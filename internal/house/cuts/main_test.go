package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	in := `{"mesh":"a","cuts":[
	  {"how":"delete","probes":10,"longest_gap_ms":0,"median_lost":0,"lost_replug":0,"restored":true},
	  {"how":"delete","probes":20,"longest_gap_ms":2,"median_lost":1,"lost_replug":3,"restored":false},
	  {"how":"carrier","probes":30,"longest_gap_ms":1,"median_lost":0,"restored":true},
	  {"how":"silent","after":"2","probes":40,"longest_gap_ms":150,"median_lost":100,"restored":true}],
	 "held_back_cuts":[{"how":"carrier","longest_gap_ms":777.4}]}
	{"mesh":"b","cuts":[]}`
	var out strings.Builder
	if err := table(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")[2:]
	want := []string{
		"| a | delete | 2 | 30 | 2 | 1 | 3 | 1 of 2 | - |",
		"| a | carrier | 1 | 30 | 1 | 0 | 0 | 1 of 1 | 1, 777 |",
		"| a | silent, 2 s after another | 1 | 40 | 150 | 100 | 0 | 1 of 1 | - |",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if err := table(strings.NewReader(`{"mesh":`), &out); err == nil {
		t.Error("half a report was taken")
	}
}
