// Package chaos throws faults at a lab full of agents, one step after the other,
// and looks after each whether the mesh is what its cabling allows.
//
// The steps follow from the plan and a seed alone, never from what agents do, so
// a seed replays. What is right after a step is computed by the lab from the
// cables it cut, without asking any agent (lab.Verdict). A step that does not
// settle within a bound ends the run.
//
// Clocks: an agent that is killed and started anew by the step "clock" gets a time
// namespace in which the monotonic and the boot clock are up to a year ahead
// (time_namespaces(7)). CLOCK_REALTIME has no namespace; it is one for the whole
// machine, and is left alone.
package chaos
