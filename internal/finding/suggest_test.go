package finding_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

func TestSuggest(t *testing.T) {
	known := []string{"um790-pro", "ms-01", "nuc-12-pro", "nuc-13-pro", "left", "right", "01", "02"}
	for _, tt := range []struct {
		word string
		want []string
	}{
		{"um790pro", []string{"um790-pro"}},
		{"UM790-Pro", []string{"um790-pro"}},
		{"lfet", []string{"left"}},
		{"nuc-13", []string{"nuc-13-pro"}},
		{"zzz", nil},
		{"rigth", []string{"right"}},
		{"03", nil},
		{"", nil},
		{strings.Repeat("x", 1000), nil},
	} {
		if diff := cmp.Diff(tt.want, finding.Suggest(tt.word, known)); diff != "" {
			t.Errorf("Suggest(%q) (-want +got):\n%s", tt.word, diff)
		}
	}
}
