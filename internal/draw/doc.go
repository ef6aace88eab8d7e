// Package draw shows a plan as a picture: SVG for wikis and browsers, DOT for
// Graphviz, Mermaid for Markdown.
//
// All three show the same: nodes with their addresses, the ports in use, and
// which cable goes from where to where. The same plan gives the same bytes.
//
// The SVG is laid out in four steps, one per file: arrange finds a place for each node,
// sockets decides where on the edge of its box a port sits, curves leads the
// cables and puts their badges where nothing else is, svg writes it all down.
//
// Failover is a picture of measured times beside it, with the same colours.
package draw
