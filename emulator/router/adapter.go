package router

// adapter is one adapter with its configuration and path configuration space.
type adapter struct {
	number int
	kind   uint32
	port   *port // of a lane adapter
	lane   int
	space  [adapterSize]uint32
	paths  [MaxHopID + 1][2]uint32
}

func newAdapter(c Config, number int, kind uint32, p *port, lane int) *adapter {
	a := &adapter{number: number, kind: kind, port: p, lane: lane}
	a.space[0] = uint32(c.Vendor) | uint32(c.Device)<<16
	a.space[adpCS2] = kind
	a.space[adpCS3] = uint32(number) << adpNumberShift
	a.space[adpCS5] = MaxHopID | MaxHopID<<adpOutShift
	if kind != typeLane {
		return a
	}
	widths := uint32(widthSingle)
	if c.Bonding {
		widths |= widthDual
	}
	a.space[adpCS1] = laneCap
	a.space[adpCS4] = laneBuffers << adpBuffersShift
	a.space[adpCS5] |= adpNoHotPlug
	a.space[laneCS0] = capLane<<capShift | (speedGen2|speedGen3)<<speedShift | widths<<widthShift
	a.space[laneCS1] = targetGen3 | targetSingle | widthSingle<<widthShift | stateUnplugged<<laneStateShift
	if lane == 0 {
		a.space[laneCS0] |= portCap
		a.space[portCap] = capPort << capShift
		if c.Bonding {
			a.space[portCS18] = portBonding
		}
		a.paths[0][0] = controlCredits<<pathCreditsShift | pathEnable
	}
	return a
}

// hasPaths: the second lane of a USB4 port has no path configuration space of its own.
func (a *adapter) hasPaths() bool { return a.kind != typeLane || a.lane == 0 }

// next finds the path entry of frames that arrive with a HopID.
func (a *adapter) next(hop int) (out, next int, ok bool) {
	if hop < 1 || hop > MaxHopID {
		return 0, 0, false
	}
	w := a.paths[hop][0]
	return int(w >> pathOutShift & pathOut), int(w & pathNextHop), w&pathEnable != 0
}

// write stores a dword of the adapter configuration space. It reports whether a link may
// depend on it.
func (a *adapter) write(offset int, v uint32) (changed bool) {
	old := a.space[offset]
	switch {
	case offset < adpCS4:
		return false
	case offset == adpCS4:
		a.space[offset] = old&^(adpNFC|adpLock) | v&(adpNFC|adpLock)
		return false
	case offset == adpCS5:
		a.space[offset] = old&^adpNoHotPlug | v&adpNoHotPlug
		return (old^a.space[offset])&adpNoHotPlug != 0
	case a.kind != typeLane:
		return false
	case offset == laneCS1:
		a.space[offset] = old&(laneReadOnly|laneReserveMask) | v&^(laneReadOnly|laneReserveMask)
		return old != a.space[offset]
	case a.lane != 0:
		return false
	case offset == portCS1:
		// There is nobody on the sideband: no retimer, no answer from the other host.
		a.space[offset] = v&^sidebandPending | sidebandNoResponse
	case offset > portCS1 && offset < portCS18:
		a.space[offset] = v
	case offset == portCS19:
		a.space[offset] = v
		return (old^v)&portReset != 0
	}
	return false
}

func (a *adapter) setLane(speed, width, state uint32) {
	a.space[laneCS1] = a.space[laneCS1]&^laneReadOnly | speed<<speedShift | width<<widthShift | state<<laneStateShift
}
