package diagnose

// tree is the order in which a person who knows would look.
var tree = register([]*rule{
	{
		look: nil,
		below: []*rule{
			noController.with(
				noDriver.with(
					controllers(
						controllerDead.with(
							controllerErrors.with(),
							xdomainOff.with(
								ports(handshakeStuck, noLink),
								links(linkRules...),
							),
							firmwareManager,
							strictIOMMU,
							interruptPlace,
							narrowPCIe,
							unstableUUID,
							routerFull,
						),
					),
					kernelDefects,
					kernelUnknown,
					hostReset,
					oldBond,
					sameMAC,
					mtuDiffers,
					foreignManager,
					openAuthorization,
					reversePath,
					firewallPresent,
				),
			),
		},
	},
})

// linkRules look at one link: what the peer is and how the cable trained, and, from
// the service down to the last per cent, whether and how fast packets flow.
var linkRules = []*rule{
	oneSlowLane, slowLanes, oneLane,
	peerNameless, peerKernel,
	noService.with(
		noNetModule.with(
			noInterface.with(
				interfaceDown.with(
					noCarrier.with(
						oneWay.with(
							crcErrors, framesLost,
							transitTSO,
							mtuMismatch, mtuUnplanned,
							throughput.with(defaultCredits, smallMTU, sleepyCPU, squeezedCore, savingGovernor),
						),
					),
				),
			),
		),
	),
}

// with hangs rules below a rule.
func (r *rule) with(below ...*rule) *rule {
	r.below = append(r.below, below...)
	return r
}

func controllers(below ...*rule) *rule {
	return &rule{below: below, each: func(s subject) (out []subject) {
		for i := range s.in.Hardware.Controllers {
			s.controller = &s.in.Hardware.Controllers[i]
			out = append(out, s)
		}
		return out
	}}
}

func ports(below ...*rule) *rule {
	return &rule{below: below, each: func(s subject) (out []subject) {
		for i := range s.controller.Ports {
			s.port = &s.controller.Ports[i]
			out = append(out, s)
		}
		return out
	}}
}

func links(below ...*rule) *rule {
	return &rule{below: below, each: func(s subject) (out []subject) {
		for i := range s.in.Hardware.Links {
			if s.link = &s.in.Hardware.Links[i]; s.link.PCI == s.controller.PCI {
				out = append(out, s)
			}
		}
		return out
	}}
}
