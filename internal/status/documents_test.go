package status

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every metric is in the document, and nothing else.
func TestMetricsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeAgent(situation("dead-link"))
	families, err := newCollector(f).registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, family := range families {
		if name := family.GetName(); strings.HasPrefix(name, "usb4mesh_") {
			known[name] = true
			if !strings.Contains(string(b), "`"+name) {
				t.Errorf("docs/agent.md does not explain %s", name)
			}
		}
	}
	for _, name := range regexp.MustCompile("usb4mesh_[a-z_]+").FindAllString(string(b), -1) {
		if !known[name] {
			t.Errorf("docs/agent.md explains %s, which there is not", name)
		}
	}
	if len(known) < 30 {
		t.Errorf("only %d metrics", len(known))
	}
}

// Every field of the JSON is in docs/cli.md, where it is a promise.
func TestFieldsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## status\n")
	section, _, _ = strings.Cut(section, "\n## ")
	full := situation("dead-link")
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, below := range v {
				if !seen[key] && !strings.Contains(section, `"`+key+`"`) {
					t.Errorf("docs/cli.md does not promise %q", key)
				}
				seen[key] = true
				walk(below)
			}
		case []any:
			for _, below := range v {
				walk(below)
			}
		}
	}
	walk(tree)
	if len(seen) < 60 {
		t.Errorf("only %d fields", len(seen))
	}
}
