// Package gossip tells every node which links are down, over hashicorp/memberlist.
package gossip
