// Package coexist runs the agent beside what else may manage the network of a Linux
// machine: NetworkManager, dhcpcd, systemd-networkd and FRR, each of them real, in a
// node of a lab. Each runs as its distribution ships it, which knows nothing of the
// mesh and takes every interface, and as docs/agent.md says.
//
// There is nothing here but tests.
package coexist
