// Package config reads the cluster file, mesh.yaml.
//
// Parse turns the bytes of a file into a mesh.Cluster and reports every problem
// that the file alone shows, each with line, column, source line and a hint.
// Problems that need more knowledge (the catalogue, the expanded topology) are
// found by later packages, which give them a path such as nodes[2].machine;
// Locate turns such paths into places of the file. Schema describes the same
// format to editors.
//
// The work is done in four steps:
//
//	text.go    bytes: size, encoding, characters, lines
//	tree.go    YAML nodes: syntax, one document, no aliases, no tags
//	check.go   values: the tree held against the table of table.go
//	cluster*.go meaning: names, addresses, ports and cables against each other
//
// The table in table.go is the only place that names the keys of the format.
// YAML node types and positions never leave this package.
package config
