package bench

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// fakeRoot is a machine as two files of /proc and one interface show it.
func fakeRoot(frags, softirq string) fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"proc/net/snmp": file("Ip: Forwarding DefaultTTL InDiscards FragFails\nIp: 1 64 3 " + frags + "\n" +
			"Tcp: RetransSegs OutSegs\nTcp: 11 5000\n"),
		"proc/net/snmp6":           file("Ip6FragFails                    \t4\nIp6InReceives \t9\nnonsense\n"),
		"proc/net/softnet_stat":    file("0000ff 00000001 0000000a 0\n0000ff 00000000 00000001 0\n"),
		"proc/stat":                file("cpu  1 2 3 4 5 6 7 8 9 0\ncpu0 10 0 20 100 0 0 " + softirq + " 0 0 0\ncpu1 0 0 0 200 0 0 0 0 0 0\nintr 5\n"),
		"sys/class/net/tbt-02/mtu": file("65520\n"),
		"sys/class/net/tbt-02/statistics/rx_crc_errors":      file("2\n"),
		"sys/class/net/eth0/mtu":                             file("1500\n"),
		"sys/devices/system/cpu/cpu0/cpuidle/state1/latency": file("2\n"),
		"sys/devices/system/cpu/cpu0/cpuidle/state2/latency": file("350\n"),
		"sys/devices/system/cpu/cpu0/cpuidle/state3/latency": file("900\n"),
		"sys/devices/system/cpu/cpu0/cpuidle/state3/disable": file("1\n"),
	}
}

func TestReadEvidence(t *testing.T) {
	e := ReadEvidence(fakeRoot("5", "30"))
	want := map[string]int64{
		"IpFragFails": 5, "IpInDiscards": 3, "TcpRetransSegs": 11, "TcpOutSegs": 5000,
		"Ip6FragFails": 4, "softnet_dropped": 1, "softnet_time_squeeze": 11,
	}
	if diff := cmp.Diff(want, e.Counters); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	if e.IdleExitMicros != 350 {
		t.Errorf("idle exit latency %d, want that of the deepest state that is on, 350", e.IdleExitMicros)
	}
	if l, ok := e.Links["tbt-02"]; len(e.Links) != 1 || !ok || l.MTU != 65520 || l.Counters["rx_crc_errors"] != 2 {
		t.Errorf("links %+v, want only the mesh port", e.Links)
	}
	later := ReadEvidence(fakeRoot("12", "95")).Since(e)
	if later.Counters["IpFragFails"] != 7 || later.Counters["TcpOutSegs"] != 0 {
		t.Errorf("since: %v", later.Counters)
	}
	if got := later.BusiestSoftIRQ(); got != 100 {
		t.Errorf("busiest CPU %v %%, want 100: all of its 65 ticks were softirqs", got)
	}
}

func TestEvidenceOfNothing(t *testing.T) {
	e := ReadEvidence(fstest.MapFS{})
	if len(e.Counters) != 0 || e.IdleExitMicros != -1 || e.BusiestSoftIRQ() != 0 {
		t.Errorf("%+v", e)
	}
}

func TestEvidenceOfThisMachine(t *testing.T) {
	e := ReadEvidence(os.DirFS("/"))
	if len(e.CPUs) == 0 || e.Counters["TcpOutSegs"] == 0 {
		t.Errorf("%+v", e)
	}
}
