package router

import (
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/emulator/packet"
)

// trace records a control packet in words.
func (r *Router) trace(direction byte, p packet.Packet) {
	if r.fabric.Tracing() {
		r.fabric.Trace(direction, p.String())
	}
}

// event records something that is no packet.
func (r *Router) event(text string) {
	if r.fabric.Tracing() {
		r.fabric.Trace('*', text)
	}
}

// traceConfig records a read or write of a configuration space. The answer to a read and
// a write come with data.
func (r *Router) traceConfig(direction byte, pdf packet.PDF, a packet.Address, data []uint32) {
	if !r.fabric.Tracing() {
		return
	}
	text := fmt.Sprintf("%v %s", pdf, r.place(a))
	if len(data) > 0 {
		text += " = " + r.meaning(a, data)
	}
	r.fabric.Trace(direction, text)
}

// place names the registers that an address covers.
func (r *Router) place(a packet.Address) string {
	last := a.Offset + max(a.Length, 1) - 1
	names := func(name func(int) string) string {
		if last > a.Offset {
			return name(a.Offset) + ".." + name(last)
		}
		return name(a.Offset)
	}
	switch a.Space {
	case packet.SpaceRouter:
		return "router " + names(routerName)
	case packet.SpaceAdapter:
		return fmt.Sprintf("adapter %d %s", a.Adapter, names(r.adapterNamer(a.Adapter)))
	case packet.SpacePath:
		return fmt.Sprintf("adapter %d path %d", a.Adapter, a.Offset/2)
	default:
		return fmt.Sprintf("adapter %d counter %d", a.Adapter, a.Offset/3)
	}
}

func routerName(at int) string {
	if at >= routerTMU && at < routerSize {
		return fmt.Sprintf("TMU_RTR_CS_%d", at-routerTMU)
	}
	return fmt.Sprintf("ROUTER_CS_%d", at)
}

// adapterNamer names the registers of an adapter by the capability they belong to.
func (r *Router) adapterNamer(number int) func(int) string {
	lane := number > 0 && number < len(r.adapters) && r.adapters[number].kind == typeLane
	return func(at int) string {
		switch {
		case lane && (at == laneCS0 || at == laneCS1):
			return fmt.Sprintf("LANE_ADP_CS_%d", at-laneCap)
		case lane && at >= portCap && at <= portCS19:
			return fmt.Sprintf("PORT_CS_%d", at-portCap)
		}
		return fmt.Sprintf("ADP_CS_%d", at)
	}
}

// meaning decodes single registers that tell a story, and shows others as numbers.
func (r *Router) meaning(a packet.Address, data []uint32) string {
	v := data[0]
	lane := a.Adapter > 0 && a.Adapter < len(r.adapters) && r.adapters[a.Adapter].kind == typeLane
	switch {
	case a.Space == packet.SpacePath && len(data) == 2 && a.Offset%2 == 0:
		if v&pathEnable == 0 {
			return "disabled"
		}
		return fmt.Sprintf("enabled, to adapter %d path %d", v>>pathOutShift&pathOut, v&pathNextHop)
	case a.Space == packet.SpaceRouter && a.Offset == routerCS5 && len(data) == 1:
		return flags(v, "sleep", cs5Sleep, "valid", cs5Valid)
	case a.Space == packet.SpaceRouter && a.Offset == routerCS6 && len(data) == 1:
		return flags(v, "sleep ready", cs6SleepReady, "ready", cs6Ready, "configured", cs6Configured)
	case a.Space == packet.SpaceRouter && a.Offset == routerCS26 && len(data) == 1:
		return operation(v&0xffff) + " " + flags(v, "started", cs26Valid, "not supported", cs26NotSupported)
	case a.Space != packet.SpaceAdapter:
	case a.Offset == adpCS4 && len(data) == 1:
		return fmt.Sprintf("%d buffers, %d without flow control, %s", v>>adpBuffersShift&adpNFC, v&adpNFC, flags(v, "locked", adpLock))
	case a.Offset == adpCS5 && len(data) == 1:
		return fmt.Sprintf("HopIDs to %d, %s", v&pathNextHop, flags(v, "no hot plug", adpNoHotPlug))
	case lane && a.Offset == laneCS1 && len(data) == 1:
		return laneMeaning(v)
	case lane && a.Offset == laneCS0 && len(data) == 2: // tb_port_state
		return laneMeaning(data[1])
	case lane && a.Offset == portCS1 && len(data) == 1:
		return "sideband " + flags(v, "access", sidebandPending, "no response", sidebandNoResponse)
	case lane && a.Offset == portCS18 && len(data) == 1:
		return flags(v, "bonding", portBonding, "woke on connect", wokeOnConnect, "woke on disconnect", wokeOnDisconnect)
	case lane && a.Offset == portCS19 && len(data) == 1:
		return flags(v, "reset", portReset, "configured", portConfigured, "other host", portOtherHost,
			"wake on connect", portWakeOnConnect, "wake on disconnect", portWakeDisconnect, "wake on USB4", portWakeUSB4)
	}
	words := make([]string, len(data))
	for i, w := range data {
		words[i] = fmt.Sprintf("%#x", w)
	}
	return strings.Join(words, " ")
}

// operations of routers (enum usb4_switch_op)
var operations = map[uint32]string{
	0x10: "query DP resource", 0x11: "allocate DP resource", 0x12: "free DP resource", 0x20: "NVM write", 0x21: "NVM authenticate",
	0x22: "NVM read", 0x23: "NVM set offset", 0x24: "DROM read", 0x25: "NVM sector size", 0x33: "buffer allocation",
}

func operation(code uint32) string {
	if name, ok := operations[code]; ok {
		return "operation " + name
	}
	return fmt.Sprintf("operation %#x", code)
}

var laneStates = map[uint32]string{stateDisabled: "disabled", stateTraining: "training", stateUp: "up", stateUnplugged: "unplugged"}

func laneMeaning(v uint32) string {
	speed := "no speed"
	switch v >> speedShift & 0xf {
	case speedGen2:
		speed = "10 Gb/s"
	case speedGen3:
		speed = "20 Gb/s"
	}
	target := "1"
	if v&targetWidth == targetDual {
		target = "2"
	}
	state, ok := laneStates[v>>laneStateShift&0xf]
	if !ok {
		state = fmt.Sprintf("state %d", v>>laneStateShift&0xf)
	}
	return fmt.Sprintf("%s, %s, width %d, target %s, %s", state, speed, v>>widthShift&0x3f, target,
		flags(v, "lane disabled", laneDisable, "bonding", laneBond))
}

// flags names the bits that are set; pairs are a name (string) and a mask (int).
func flags(v uint32, pairs ...any) string {
	var all []string
	for i := 0; i < len(pairs); i += 2 {
		if v&uint32(pairs[i+1].(int)) != 0 {
			all = append(all, pairs[i].(string))
		}
	}
	if len(all) == 0 {
		return "no flags"
	}
	return strings.Join(all, "+")
}
