package forwarding

// Among equally short ways the choice is free (see the package comment), and it
// decides how load spreads. Load is counted in ordered pairs of nodes over a
// link; a cable carries both directions at full speed, so a direction's own
// load counts double and the other's once, and a link that costs twice the
// weight (half the speed) is twice as dear. The trees are chosen one after the
// other, each for the least sum of such prices over the tree, and then twice
// again with the load of all others known.
//
// Worst-loaded cable of Load without a failure, compared with always taking the
// lowest link and with a hash of destination and link; "even" is the load if all
// cables carried the same:
//
//	                    lowest  hash  here  even
//	two parallel cables      2     1     1     1
//	grid 3x3                20    20    13    12
//	grid 8x8               480   397   266   192
//	Petersen                10    10    10    10
//	hypercube of 16         54    25    18    16
//	hypercube of 64        486   121    71    64
//	random, 256 x 4        895   891   706   568
//
// TestSpread holds these numbers.

// spreadRounds is how often each tree is chosen. More gain next to nothing.
const spreadRounds = 3

// tree chooses the parent link of every node among its shortest ways and fills
// primary and depth. A choice of an earlier round is taken back first.
func (c *compiler) tree(primary []int32) {
	if len(c.order) > 1 && primary[c.order[1]] >= 0 {
		c.carry(primary, -1)
	}
	dest := c.order[0]
	c.price[dest], c.depth[dest] = 0, 0
	for _, u := range c.order[1:] {
		c.price[u] = unreached
		for _, a := range c.of(u) {
			if c.dist[a.to] == unreached || c.dist[a.to]+c.cost[a.link] != c.dist[u] {
				continue
			}
			if price := c.price[a.to] + c.fee(a.link, u); price < c.price[u] {
				c.price[u] = price
				primary[u], c.depth[u] = a.link, c.depth[a.to]+1
			}
		}
	}
	c.carry(primary, 1)
}

// fee is the price of sending one more pair over a link.
func (c *compiler) fee(link, from int32) int64 {
	way := c.direction(link, from)
	return (2*c.load[way] + c.load[way^1]) * (c.cost[link] / hopCost)
}

// carry adds the pairs of a tree, times sign, to the load of its links.
func (c *compiler) carry(primary []int32, sign int64) {
	for _, u := range c.order {
		c.size[u] = sign
	}
	for i := len(c.order) - 1; i > 0; i-- {
		u := c.order[i]
		c.size[c.other(primary[u], u)] += c.size[u]
		c.load[c.direction(primary[u], u)] += c.size[u]
	}
}

// direction numbers the two directions of a link; they differ in the last bit.
func (c *compiler) direction(link, from int32) int32 {
	if c.ends[link][0] == from {
		return 2 * link
	}
	return 2*link + 1
}
