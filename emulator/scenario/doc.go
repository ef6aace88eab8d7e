// Package scenario tries things out on emulated machines with the stock thunderbolt and
// thunderbolt_net drivers. A scenario is a Go test of about ten lines:
//
//	func TestPeerLosesPower(t *testing.T) {
//		w := scenario.Start(t, scenario.Spec{Cables: []string{"a:1-b:1", "b:2-c:1", "c:2-a:2"}})
//		w.Up() // every cable has an interface at both ends, with addresses and carrier
//		w.PowerOff("c")
//		w.Gone("b:2-c:1", "b")
//		w.Ping("a", "b")
//		w.PowerOn("c")
//		w.Up()
//		w.PingAll()
//	}
//
// Hosts are there by being named. Each step has a time limit and fails the test when it passes; what the
// kernels and the emulated cables had to say is kept then, and the folder is printed. A kernel that
// complains (WARNING, BUG, Oops) fails the test at its end even if all steps went well. Where no guest can
// run, Start skips the test with the reason.
package scenario
