package forwarding

// tree chooses the parent link of every node among its shortest ways and fills
// primary, depth and the load that the choice adds.
func (c *compiler) tree(primary []int32) {
	dest := c.order[0]
	c.depth[dest], c.lent[dest], c.size[dest] = 0, 0, 1
	for _, u := range c.order[1:] {
		best := int64(unreached)
		for _, a := range c.of(u) {
			if c.dist[a.to] == unreached || c.dist[a.to]+c.cost[a.link] != c.dist[u] {
				continue
			}
			if lent := c.lent[a.to] + c.lend(a.link, u); lent < best {
				best = lent
				primary[u], c.depth[u] = a.link, c.depth[a.to]+1
			}
		}
		c.lent[u], c.size[u] = best, 1
	}
	for i := len(c.order) - 1; i > 0; i-- {
		u := c.order[i]
		c.size[c.other(primary[u], u)] += c.size[u]
		c.load[c.direction(primary[u], u)] += c.size[u]
	}
}

// direction numbers the two directions of a link.
func (c *compiler) direction(link, from int32) int32 {
	if c.ends[link][0] == from {
		return 2 * link
	}
	return 2*link + 1
}

// lend is the price of sending one more source over a link.
func (c *compiler) lend(link, from int32) int64 {
	return c.load[c.direction(link, from)]
}
