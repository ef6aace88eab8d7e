// Package agent keeps a node's part of the mesh as planned.
//
// One loop owns time, order and state. A turn scans the hardware, matches its
// ports to the plan, reads the kernel, computes what it should hold for the
// cabling that is left, applies the difference, verifies, diagnoses and
// publishes. Events (netlink, devices, liveness, gossip, a timer) only wake the
// loop, which reads the world anew.
//
// One thing does not wait for the loop: when liveness says that a link is dead,
// its traffic is steered to the detour at once, past the kernel's RTNL lock.
package agent
