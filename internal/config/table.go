package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/finding"
	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// types is the set of YAML types that a rule accepts.
type types int

const (
	words types = 1 << iota // text
	number
	list
	mapping
)

// rule says what may stand at one place of the file. Parse, Locate and Schema
// all read it.
type rule struct {
	types  types
	doc    string // for people: editors show it
	sample string // an example, as it stands in a file

	// Text: one of enum, or what passes explain, which says what is wrong; pattern
	// says the same to editors, where it can be said so. A failing value is reported
	// as kind.
	kind    *finding.Kind
	pattern string
	explain func(string) (problem, hint string)
	enum    []string

	min, max int   // of a number; elements of a collection, where max 0 is no limit
	items    *rule // of a list

	// Mapping: fixed keys, or any key that passes keyText.
	keys    []key
	oneOf   []string // exactly one of these keys must be there
	each    *rule
	keyText *rule
}

type key struct {
	name     string
	required bool
	rule     *rule
}

func (r *rule) accepts(t types) bool { return r.types&t != 0 }

func (r *rule) key(name string) *rule {
	for _, k := range r.keys {
		if k.name == name {
			return k.rule
		}
	}
	return nil
}

func (r *rule) keyNames() []string {
	var names []string
	for _, k := range r.keys {
		names = append(names, k.name)
	}
	return names
}

// example shows a value as it may stand in a file.
func (r *rule) example() string {
	if r.sample != "" {
		return r.sample
	}
	if r.items != nil {
		return "[" + r.items.example() + "]"
	}
	var parts []string
	for _, k := range r.keys {
		if k.required {
			parts = append(parts, k.name+": "+k.rule.example())
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// check says what is wrong with a text, and what to write instead.
func (r *rule) check(s string) (problem, hint string) {
	if len(r.enum) > 0 && r.accepts(words) {
		for _, e := range r.enum {
			if s == e {
				return "", ""
			}
		}
		hint = "choose one of: " + strings.Join(r.enum, ", ")
		if near := finding.Suggest(s, r.enum); len(near) > 0 {
			hint = fmt.Sprintf("did you mean %s?", near[0])
		}
		return quote(s) + " is not known here", hint
	}
	if r.explain != nil {
		return r.explain(s)
	}
	return "", ""
}

// Building blocks of the table.

func label(doc, example string) *rule {
	return &rule{types: words, doc: doc, sample: yamlText(example), kind: badName, pattern: labelPattern, explain: checkLabel}
}

func address(doc, example string) *rule {
	return &rule{types: words, doc: doc, sample: example, kind: badAddress, explain: checkAddress}
}

// yamlText puts quotes around what readers of YAML would misread.
func yamlText(s string) string {
	if plainNumber.MatchString(s) || octal.MatchString(s) || truthValue.MatchString(s) || strings.Contains(s, ":") {
		b, _ := json.Marshal(s) // a string always marshals
		return string(b)
	}
	return s
}

func settings(doc, example string) *rule {
	value := &rule{types: words | number | list, doc: "one line of text; a list writes the key several times", sample: `"no"`, kind: badSetting, pattern: linePattern, explain: checkLine,
		items: &rule{types: words | number, doc: "one line of text", sample: `"no"`, kind: badSetting, pattern: linePattern, explain: checkLine}}
	word := &rule{types: words, kind: badSetting, pattern: sectionPattern, explain: checkSection}
	return &rule{types: mapping, doc: doc, sample: example, keyText: word,
		each: &rule{types: mapping, doc: "section", sample: "{LLMNR: \"no\"}", keyText: word, each: value}}
}

// maxNodes bounds a mesh; forwarding tables of more are not practical.
const maxNodes = 1024

// maxPorts bounds the ports of a node, maxNodes*maxPorts/2 therefore the cables.
const maxPorts = 64

var shapes = []string{"full-mesh", "ring", "chain", "star", "grid", "torus", "hypercube", "petersen", "heawood", "circulant", "best"}

// table describes the whole cluster file.
var table = &rule{
	types:  mapping,
	doc:    "A mesh of machines joined by USB4 cables, for usb4mesh.",
	sample: "mesh: homelab",
	oneOf:  []string{"topology", "cables"},
	keys: []key{
		{"mesh", true, label("Name of the mesh.", "homelab")},
		{"identity", false, &rule{types: list, min: 1, max: 2, sample: `[10.7.1.0/24, "fd75:7362:3400::/64"]`,
			doc:   "Address ranges, at most one per family. Each node gets one address from each, by which it is known whatever cable a packet takes.",
			items: &rule{types: words, doc: "Address range in prefix notation.", sample: "10.7.1.0/24", kind: badPool, explain: checkPool}}},
		{"mtu", false, &rule{types: number, kind: badMTU, min: mesh.MinMTU, max: mesh.MaxMTU, sample: "65520",
			doc: "Largest packet in bytes, the same on every cable. 65520 if left out."}},
		{"topology", false, topologyRule},
		{"nodes", true, &rule{types: list, min: 1, max: maxNodes, sample: `[{name: "01", machine: um790-pro}]`, doc: "The machines.", items: nodeRule}},
		{"cables", false, &rule{types: list, min: 1, max: maxNodes * maxPorts / 2, sample: `[{endpoints: ["03:left", "02:right"]}]`, doc: "The cables one by one, instead of a topology.", items: cableRule}},
		{"agent", false, agentRule},
	},
}

var topologyRule = &rule{
	types:  words | mapping,
	doc:    "How the nodes are wired: a shape, or a mapping with the shape and its options. Instead, list the cables under cables.",
	sample: "full-mesh",
	kind:   badValue, enum: shapes,
	keys: []key{
		{"shape", true, &rule{types: words, doc: "The shape. best searches for the wiring with the shortest ways.", sample: "grid", kind: badValue, enum: shapes}},
		{"columns", false, &rule{types: number, doc: "Columns of a grid or torus. The squarest if left out.", sample: "3", kind: badNumber, min: 1, max: maxNodes}},
		{"hub", false, label("Node at the centre of a star. The one with most ports if left out.", "01")},
	},
}

var nodeRule = &rule{
	types:  mapping,
	doc:    "A machine of the mesh.",
	sample: `{name: "01", machine: um790-pro}`,
	oneOf:  []string{"machine", "ports"},
	keys: []key{
		{"name", true, label("Host name of the node, without domain. Interfaces towards it are called tbt-<name>.", "01")},
		{"machine", false, label("Model from the catalogue, which knows its ports.", "um790-pro")},
		{"ports", false, &rule{types: mapping, min: 1, max: maxPorts, doc: "The USB4 ports by hand: a name of your choice and where the port is.",
			sample:  `{left: {path: "pci-0000:c7:00.5"}}`,
			keyText: label("Name of the port.", "left"),
			each: &rule{types: mapping, doc: "A USB4 port.", sample: `{path: "pci-0000:c7:00.5"}`, keys: []key{
				{"path", true, &rule{types: words, doc: "udev's ID_PATH of the USB4 host controller behind the port.", sample: `"pci-0000:c7:00.5"`, kind: badPCIPath, pattern: pathPattern, explain: checkPath}},
				{"adapter", false, &rule{types: number, doc: "Lane adapter of the port, where one controller serves several ports (Intel: 1 and 3).", sample: "1", kind: badNumber, min: 1, max: 63}},
			}}}},
		{"identity", false, &rule{types: list, min: 1, max: 2, doc: "Fixed addresses, at most one per family, instead of addresses from the pools.", items: address("Address of the node.", "10.7.1.3")}},
		{"format", false, &rule{types: words, doc: "Format of the configuration files rendered for this node.", sample: "nixos", kind: badValue, enum: []string{"networkd", "nixos"}}},
		{"settings", false, &rule{types: mapping, doc: "Additions to the rendered files.", sample: `{network: {Network: {LLMNR: "no"}}}`, keys: []key{
			{"link", false, settings("Additions to every port's .link file, by section and key.", "{Link: {RxBufferSize: 4096}}")},
			{"network", false, settings("Additions to every port's .network file, by section and key.", `{Network: {LLMNR: "no"}}`)},
			{"sysctl", false, &rule{types: mapping, doc: "Additions to the sysctl.d file.", sample: "{net.core.rmem_max: 67108864}",
				keyText: &rule{types: words, kind: badSetting, pattern: sysctlPattern, explain: checkSysctl},
				each:    &rule{types: words | number, doc: "Value of the sysctl.", sample: "67108864", kind: badSetting, pattern: linePattern, explain: checkLine}}},
		}}},
	},
}

var cableRule = &rule{
	types:  mapping,
	doc:    "A cable between two ports.",
	sample: `{endpoints: ["03:left", "02:right"]}`,
	keys: []key{
		{"name", false, label("Name of the cable. Its number in the list if left out.", "blue")},
		{"endpoints", true, &rule{types: list, min: 2, max: 2, sample: `["03:left", "02:right"]`, doc: "The two ends.",
			items: &rule{types: words, doc: "node:port, or the node alone, which lets the planner choose a port.", sample: `"03:left"`, kind: badEndpoint, pattern: endPattern, explain: checkEndpoint}}},
		{"addresses", false, &rule{types: list, min: 2, max: 2, sample: "[10.7.0.101, 10.7.0.106]", doc: "Point-to-point addresses of this cable alone, in the order of the endpoints.", items: address("Address of one end.", "10.7.0.101")}},
		{"speed", false, &rule{types: number, doc: "Planned speed in Gbit/s per direction. 20 if left out.", sample: "40", kind: badNumber, min: 1, max: mesh.MaxSpeed}},
	},
}
