package scenario_test

import (
	"os"
	"slices"
	"testing"
)

// Levels of this package's tests, each with those before it: what every `make test` runs, what
// `make test-drivers` adds, and what runs at night.
var levels = []string{"", "drivers", "nightly"}

// level skips a test that belongs to a higher level than USB4EMU_LEVEL asks for.
func level(t *testing.T, want string) {
	t.Helper()
	have := os.Getenv("USB4EMU_LEVEL")
	at := slices.Index(levels, have)
	if at < 0 {
		t.Fatalf("USB4EMU_LEVEL=%q is none of %q", have, levels)
	}
	if at < slices.Index(levels, want) {
		t.Skipf("runs with USB4EMU_LEVEL=%s, see emulator/docs/scenarios.md", want)
	}
}
