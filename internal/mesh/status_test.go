package mesh_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Who reads a status has what the agent wrote.
func TestStatusTravels(t *testing.T) {
	want := mesh.Status{
		Mesh: "homelab", Node: "01", State: mesh.StateDegraded, Since: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Turn: 3,
		Links: []mesh.LinkStatus{{Interface: "tbt-02", Liveness: mesh.LivenessStatus{State: "up", DetectionMillis: 150}}},
		Findings: []mesh.StatusFinding{{
			JSON:  finding.JSON{Code: "link-dead", Severity: finding.Warning, Message: "m"},
			Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		}},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"code":"link-dead","severity":"warning"`, `"since":"2026-01-02T03:04:05.006Z"`, `"detection_ms":150`} {
		if !strings.Contains(string(data), field) {
			t.Errorf("%s is not in %s", field, data)
		}
	}
	var got mesh.Status
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-sent +read):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"findings":[{"severity":"fatal"}]}`), &got); err == nil {
		t.Error("an unknown severity was read")
	}
}
