package lab

import (
	"slices"
	"testing"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// A kernel that hides neighbour settings gets everything else of the plan, and
// the report says what is missing.
func TestDoorsWithoutNeighbourSettings(t *testing.T) {
	plan := &mesh.NodePlan{Sysctls: []mesh.Sysctl{
		{Path: "net/ipv4/conf/tbt-02/rp_filter", Value: "2"},
		{Path: "net/ipv4/neigh/tbt-02/retrans_time_ms", Value: "20"},
		{Path: "net/ipv6/neigh/tbt-02/retrans_time_ms", Value: "20"},
	}}
	n := &Node{Plan: plan, Mesh: &mesh.Plan{Mesh: "m"}}
	for _, neigh := range []bool{true, false} {
		d := &doors{neigh: neigh, dummy: true}
		if got := slices.ContainsFunc(d.want(n).Sysctls, isNeigh); got != neigh {
			t.Errorf("with neighbour settings %v: wanted %v", neigh, got)
		}
		if got := slices.Contains(d.standIns(), noNeigh); got == neigh {
			t.Errorf("with neighbour settings %v: said missing %v", neigh, got)
		}
	}
	if len(plan.Sysctls) != 3 {
		t.Error("the plan itself was changed")
	}
}
