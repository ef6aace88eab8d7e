// Package remote lets one node of a mesh have measurements made on the others, by
// their agents.
//
// An agent listens on the identities of its node with TLS 1.3. Both ends prove that
// they hold the mesh's key: each signs with an ed25519 key that is derived from it
// (keys.go), so there are no certificates to bring about, and who has recorded the
// connection can't read it when the key becomes known later.
//
// What can be asked for is a Job: one of four things, with typed and bounded values,
// never a command (job.go). The agent runs it in a process of its own, which is this
// very program without the agent's rights (child.go), and which ends with the
// connection over which it was asked for. A coordinator first takes hold of an agent;
// until it lets go, no other gets anything done there (session.go), for two that
// measure at the same time would measure each other.
package remote
