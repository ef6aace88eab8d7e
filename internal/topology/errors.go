package topology

import (
	"fmt"
	"strings"
)

// UnknownShapeError says that there is no such shape.
type UnknownShapeError struct{ Shape string }

func (e *UnknownShapeError) Error() string {
	return fmt.Sprintf("unknown shape %q, want one of %s", e.Shape, strings.Join(Shapes(), ", "))
}

// SizeError says that a shape is not made for this number of nodes.
type SizeError struct {
	Shape   string
	Nodes   int
	Columns int    // asked for, of a grid
	Want    string // what the shape wants, such as "a power of two"
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s of %d nodes: the number of nodes must be %s", e.Shape, e.Nodes, e.Want)
}

// RangeError says that a number of the request is out of range.
type RangeError struct {
	Shape, Field string // Field is "Columns" or "Hub"
	Value        int
	Least, Most  int
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("%s: %s is %d, want %d to %d", e.Shape, strings.ToLower(e.Field), e.Value, e.Least, e.Most)
}

// Shortage is a node with too few free ports.
type Shortage struct{ Node, Need, Have int }

// PortsError names all nodes that have fewer free ports than a shape needs.
type PortsError struct {
	Shape string
	Short []Shortage // by node, at least one
}

func (e *PortsError) Error() string {
	s := e.Short[0]
	text := fmt.Sprintf("%s: node %d needs %d free ports and has %d", e.Shape, s.Node, s.Need, s.Have)
	if more := len(e.Short) - 1; more > 0 {
		nodes := "nodes have"
		if more == 1 {
			nodes = "node has"
		}
		text += fmt.Sprintf(", and %d more %s too few", more, nodes)
	}
	return text
}

// NoShapeError says that no known shape joins all nodes with the ports they have.
type NoShapeError struct{ Nodes int }

func (e *NoShapeError) Error() string {
	return fmt.Sprintf("no known shape joins these %d nodes with the ports they have", e.Nodes)
}
