package forwarding

// Entry is what a node does with packets for one destination. Each field is the
// number of a link of the graph, or -1 for none.
type Entry struct {
	Primary int // while this link is up, for every packet but the unusual ones
	Detour  int // while the link of Primary is down
	Return  int // for a packet that came in over the link of Primary
}

// Tables holds the entries of all nodes for all destinations.
type Tables struct {
	nodes int
	// One row of nodes per destination: what belongs to one tree lies together.
	primary, detour, ret []int32
}

func newTables(nodes int) *Tables {
	t := &Tables{nodes: nodes}
	for _, column := range []*[]int32{&t.primary, &t.detour, &t.ret} {
		*column = make([]int32, nodes*nodes)
		for i := range *column {
			(*column)[i] = -1
		}
	}
	return t
}

// row returns the three columns of a destination, indexed by node.
func (t *Tables) row(dest int) (primary, detour, ret []int32) {
	from, to := dest*t.nodes, (dest+1)*t.nodes
	return t.primary[from:to], t.detour[from:to], t.ret[from:to]
}

// At returns what node does with packets for dest. At the destination itself,
// and where no way leads, all three are -1.
func (t *Tables) At(node, dest int) Entry {
	i := dest*t.nodes + node
	return Entry{Primary: int(t.primary[i]), Detour: int(t.detour[i]), Return: int(t.ret[i])}
}

// Counts says how large the tables of one node are, per address family.
type Counts struct {
	Primaries, Detours int // routes in the main table
	Returns            int // routes in the tables of the ports
	Rules              int // ports whose table holds a route
}

// Count returns the size of a node's tables. In a mesh of N nodes each of the
// three kinds of routes counts at most N-1, and the rules at most one per port.
func (t *Tables) Count(node int) Counts {
	var c Counts
	ports := make(map[int]bool)
	for dest := range t.nodes {
		e := t.At(node, dest)
		if e.Primary >= 0 {
			c.Primaries++
		}
		if e.Detour >= 0 {
			c.Detours++
		}
		if e.Return >= 0 {
			c.Returns++
			ports[e.Primary] = true
		}
	}
	c.Rules = len(ports)
	return c
}
