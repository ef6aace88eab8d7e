package hw

import "testing"

// TestMAC has two vectors from real machines (a NUC8 pair: the UUIDs of their kernel
// logs, the addresses of their `ip a`) and those of the model trees.
func TestMAC(t *testing.T) {
	for _, tt := range []struct {
		uuid    string
		adapter int
		want    string
	}{
		{"d1030000-0090-8f18-23c5-b11c6cd30923", 1, "02:70:19:dc:92:96"},
		{"d7030000-0070-6d18-232c-531042752121", 1, "02:5f:d6:57:71:93"},
		{"11ba3804-6105-de5d-ffff-ffffffffffff", 2, "02:e2:1e:08:57:bc"},
		{"e7c83804-4039-5f22-ffff-ffffffffffff", 2, "02:7c:96:5c:65:1d"},
		{"d1030000-0090-8f18-23c5-b11c6cd30923", 3, "12:70:19:dc:92:96"},
		{"d1030000-0090-8f18-23c5", 1, ""},
		{"no uuid", 1, ""},
		{"d1030000-0090-8f18-23c5-b11c6cd30923", 0, ""},
	} {
		if got := MAC(tt.uuid, tt.adapter); got != tt.want {
			t.Errorf("MAC(%s, %d) = %s, want %s", tt.uuid, tt.adapter, got, tt.want)
		}
	}
}

func TestParseName(t *testing.T) {
	for _, tt := range []struct {
		name       string
		want       deviceName
		ok         bool
		port, hops int
	}{
		{"0-2", deviceName{0, 2, -1}, true, 2, 0},
		{"1-301", deviceName{1, 0x301, -1}, true, 1, 1},
		{"0-2.0", deviceName{0, 2, 0}, true, 2, 0},
		{"0-0", deviceName{0, 0, -1}, true, 0, 0},
		{name: "domain0"}, {name: "usb4_port1"}, {name: "0-0:1.1"}, {name: "0-"}, {name: "-1"}, {name: "0-1."},
		{name: "0-FF"}, {name: "0-11112222333344445"}, {name: "99999999-1"},
	} {
		got, ok := parseName(tt.name)
		if ok != tt.ok || got != tt.want || ok && (got.port() != tt.port || got.hops() != tt.hops) {
			t.Errorf("parseName(%q) = %+v, %v", tt.name, got, ok)
		}
	}
}
