// Package chaos throws faults at a lab full of agents, one step after the other,
// and looks after each whether the mesh is what its cabling allows.
//
// The steps follow from the plan and a seed alone, never from what agents do, so
// a seed replays. What is right after a step is computed by the lab from the
// cables it cut, without asking any agent (lab.Verdict). A step that does not
// settle within a bound ends the run.
//
// Clocks: an agent that is started anew by the step "clock" gets a time namespace
// with other monotonic and boot clocks (time_namespaces(7)), up to a year ahead.
// CLOCK_REALTIME has no namespace, and is one for the whole machine.
package chaos
