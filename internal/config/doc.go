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
//	text.go   bytes: size, encoding, characters, lines
//	tree.go   YAML nodes: syntax, one document, no aliases, no tags
//	check.go  values: the tree held against the table in table.go
//	parse.go  meaning: names, ports, addresses and cables against each other
//
// The table is the only place that says which keys there are and what they take;
// checks, hints, examples and schema follow from it. YAML nodes and positions
// never leave this package.
package config
