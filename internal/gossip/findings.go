package gossip

import (
	"fmt"

	"github.com/usb4mesh/usb4mesh/internal/finding"
)

var (
	badKey = finding.Register(finding.Kind{
		Code: "gossip-key", Severity: finding.Error, Title: "The key of the mesh can't be used",
		Explain: "Agents encrypt what they tell each other with a key that every node of the mesh has in a file: one key a line, 16, 24 or 32 bytes in base64 or hexadecimal digits. The first line encrypts, all lines decrypt, so a key is changed by adding the new one as second line on every node, then moving it to the first line everywhere, then removing the old one. Nobody but its owner and group may read the file. Make a key with `head -c 32 /dev/urandom | base64`.",
	})
	stranger = finding.Register(finding.Kind{
		Code: "gossip-stranger", Severity: finding.Warning, Title: "Somebody who is not of the mesh speaks to this agent",
		Explain: "Packets reached the agent's port that no member of the mesh sends: from an address that is no identity of the plan, not encrypted with a key of this node, of another mesh, sent twice, or too many or too long. They were dropped and changed nothing. If they come from a node of the plan, its key file or the name of its mesh differs from this node's; if not, find out what is plugged there.",
	})
	otherPlan = finding.Register(finding.Kind{
		Code: "gossip-plan", Severity: finding.Warning, Title: "Another node follows another plan",
		Explain: "A node that has the key of the mesh uses a name, an address or a cable that the cluster file of this node gives to nobody or to somebody else. Its words are not believed. Usually one of the two has an older cluster file: bring the same one to every node.",
	})
	twice = finding.Register(finding.Kind{
		Code: "gossip-duplicate", Severity: finding.Error, Title: "Two machines are the same node",
		Explain: "Another machine runs an agent under this node's name and address, for instance because a disk was copied. Both say contradictory things about the links of one node, and no other node can know which to believe. Give one of them its own name in the cluster file and start its agent with that name.",
	})
)

// Finding says it in the words of the project.
func (s Stranger) Finding() finding.Finding {
	who := "somebody"
	switch {
	case s.Node != "" && s.Address.IsValid():
		who = fmt.Sprintf("node %s (%s)", s.Node, s.Address)
	case s.Node != "":
		who = "node " + s.Node
	case s.Address.IsValid():
		who = s.Address.String()
	}
	switch s.Cause {
	case UnknownName, WrongAddress, ForeignCable:
		return finding.New(otherPlan, "%s: %s (%s)", who, s.Detail, s.Cause).Hinted("compare the cluster files of the two nodes: `usb4mesh status` shows the digest of each")
	case Duplicate:
		return finding.New(twice, "%s: %s", who, s.Detail).Hinted("stop the agent on the machine that should not be node %s", s.Node)
	case WrongKey, NotEncrypted:
		f := finding.New(stranger, "%s: %s (%s)", who, s.Detail, s.Cause)
		if s.Node != "" {
			return f.Hinted("compare the key files: they must have a line in common, and the first line of each must be in the other")
		}
		return f
	}
	return finding.New(stranger, "%s: %s (%s)", who, s.Detail, s.Cause)
}
