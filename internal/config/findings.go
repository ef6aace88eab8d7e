package config

import "github.com/usb4mesh/usb4mesh/internal/finding"

func kind(code, title, explain string) *finding.Kind {
	return finding.Register(finding.Kind{Code: code, Severity: finding.Error, Title: title, Explain: explain})
}

func warning(code, title, explain string) *finding.Kind {
	return finding.Register(finding.Kind{Code: code, Severity: finding.Warning, Title: title, Explain: explain})
}

// Kinds about the file as such.
var (
	emptyFile = kind("empty-file", "The cluster file is empty",
		"The file holds nothing but comments and blank lines. The smallest useful file names the mesh, a pool of addresses, the nodes and the topology; the examples directory has several to start from.")
	fileTooLarge = kind("file-too-large", "The cluster file is too large",
		"A cluster file of the largest supported mesh stays far below the limit of 1 MiB. Probably another file was given.")
	notUTF8 = kind("not-utf8", "The file is not UTF-8 text",
		"YAML files are UTF-8 text. Save the file as UTF-8; most editors offer it as \"encoding\".")
	badCharacter = kind("bad-character", "A character that YAML does not allow",
		"Control characters, lone carriage returns and exotic line breaks are invisible in most editors and don't belong into a cluster file. They usually come from copying out of a web page or a chat. Delete the character and type the text again.")
	byteOrderMark = warning("byte-order-mark", "The file starts with a byte order mark",
		"Some editors put the invisible character U+FEFF in front of a file. usb4mesh skips it; other readers of YAML stumble over it. Save the file as \"UTF-8 without BOM\".")
	tabIndent = kind("tab-indent", "A line is indented with a tab",
		"YAML allows only spaces for indentation, because a tab has no fixed width. Replace the tab by two spaces and set your editor to insert spaces in YAML files.")
	syntaxError = kind("syntax-error", "The file is not valid YAML",
		"The text breaks the grammar of YAML, so that nothing behind this place can be read. Usual causes are wrong indentation, a missing space behind a colon, a bracket or quote that is not closed, or text that needs quotes because it begins with one of * & @ % ` { [ or holds \": \" or \" #\".")
	severalDocuments = kind("several-documents", "The file holds more than one document",
		"A line of three hyphens starts a new YAML document. A cluster file is one document; put everything under one set of keys.")
	yamlAlias = kind("yaml-alias", "Anchors and aliases are not allowed",
		"Anchors (&name), aliases (*name) and merge keys (<<) make a file that means something else than it seems to, and can blow up to any size. Write the value out where it is used.")
	yamlTag = kind("yaml-tag", "Type tags are not allowed",
		"Tags such as !!int or !include are not used in cluster files. Write the plain value, in quotes if it must be text.")
	yamlTrap = kind("yaml-trap", "A value that readers of YAML understand differently",
		"Without quotes YAML takes 01, 1e3, 0x10 or 12:30 for numbers, on, off, yes and no for truth values and 2024-01-01 for a date; which of them, depends on the version of YAML and the reader. Put text in quotes, and write numbers as plain decimal digits.")
	tooManyFindings = warning("too-many-findings", "Only the first findings are shown",
		"The file has so many problems that the rest is left out. Mend the first ones and check again.")
)

// Kinds about keys and values.
var (
	unknownKey = kind("unknown-key", "A key that the cluster file does not know",
		"Unknown keys are errors, so that a typing mistake can't silently turn a setting off. The hint names the nearest known key, or all keys that may stand at this place.")
	duplicateKey = kind("duplicate-key", "A key stands twice in the same mapping",
		"Only one of the two values could count, and readers of YAML don't agree on which. Keep one of them.")
	badKey = kind("bad-key", "A key that is not plain text",
		"Keys of a cluster file are words, never lists or mappings.")
	missingKey = kind("missing-key", "A required key is missing",
		"The key has no default: usb4mesh can't guess what you want.")
	emptyValue = kind("empty-value", "A key without a value",
		"The key is there, but nothing (or null) is its value. Write the value or delete the key.")
	wrongType = kind("wrong-type", "A value of the wrong type",
		"For instance a list where one word is expected, or text where a number is expected. The hint shows what the value should look like.")
	conflictingKeys = kind("conflicting-keys", "Two keys that exclude each other",
		"Both keys answer the same question, and they may disagree. Keep one of them: topology or cables for the wiring, machine or ports for the ports of a node.")
	badCount = kind("bad-count", "A list with too few or too many elements",
		"For instance a cable has exactly two endpoints, and a mesh has between 1 and 1024 nodes.")
	badValue = kind("bad-value", "A value that is not allowed here",
		"The value has the right type, but is not one of those that this key takes.")
	badNumber = kind("bad-number", "A number out of range or not a whole number",
		"Write numbers as plain decimal digits within the limits that the message names.")
	badMTU = kind("bad-mtu", "An MTU that can't work",
		"The MTU is the same on every hop. It must be at least 1280, the minimum of IPv6 (RFC 8200 section 5), and at most 65522, the limit of the Linux driver thunderbolt_net.")
	badName = kind("bad-name", "A name that is no valid host name label",
		"Names of nodes, ports, cables and of the mesh go into host names, interface names and file names. They follow RFC 1123: 1 to 63 lower-case letters, digits and hyphens, no hyphen at either end. A long node name is fine: the interface name, limited to 15 characters, is shortened by the planner.")
	badPCIPath = kind("bad-pci-path", "A malformed PCI path",
		"The path of a port is udev's ID_PATH of its USB4 host controller, in the form pci-0000:c7:00.5. Find it with `udevadm info -q property -p /sys/class/net/thunderbolt0` (ID_PATH=) while a cable is plugged, or with `lspci -D | grep -i usb4` and put pci- in front.")
	badAddress = kind("bad-address", "Not an address that a node can have",
		"An address is a single IPv4 or IPv6 unicast address without prefix length, such as 10.7.1.3 or fd75:7362:3400::3.")
	badPool = kind("bad-pool", "Not a range that identities can come from",
		"An identity pool is an IPv4 or IPv6 range in prefix notation, such as 10.7.1.0/24 or fd75:7362:3400::/64, without bits behind the prefix length.")
	badEndpoint = kind("bad-endpoint", "A malformed end of a cable",
		"The end of a cable is a node and one of its ports, joined by a colon, such as \"03:left\"; or only the node, which lets the planner choose a free port.")
	badSetting = kind("bad-setting", "A setting that can't be written into a configuration file",
		"Names and values of settings are copied into systemd or sysctl.d files as they are. Sections and keys are words such as Network and LLMNR; a value is one line of text.")
)

// Kinds about the meaning of the file.
var (
	duplicateNode = kind("duplicate-node", "Two nodes have the same name",
		"A node is known by its name, on its peers' interfaces too. Every node needs its own.")
	duplicateCable = kind("duplicate-cable", "Two cables have the same name",
		"Cables without a name are called by their number in the list; a name given by hand must not be one of these or of another cable.")
	samePath = kind("same-port-path", "Two ports of a node can't be told apart",
		"Both ports have the same PCI path, and at least one has no adapter number. Where one controller serves two ports (Intel), give both ports their lane adapter, usually 1 and 3; where every port has its own controller (AMD), the paths differ in the last digit.")
	unknownNode = kind("unknown-node", "A node that the file does not list",
		"Cables and topology can only name nodes that stand under nodes.")
	unknownPort = kind("unknown-port", "A port that the node does not have",
		"The node's ports are listed in the file, and this one is not among them.")
	selfCable = kind("self-cable", "A cable from a node to itself",
		"Both ends of the cable are at the same node. A USB4 host does not talk to itself; plug one end into another node.")
	portUsedTwice = kind("port-used-twice", "Two cables in one port",
		"A port takes one cable. Move one of the two cables to another port.")
	addressTwice = kind("address-used-twice", "An address in use twice",
		"Every address belongs to one node only; on a cable, to one end of one cable.")
	mixedFamilies = kind("mixed-families", "Addresses of different families where one is expected",
		"The two addresses of a cable talk to each other, so both are IPv4 or both are IPv6.")
	twoOfFamily = kind("two-of-a-family", "Two ranges or identities of one address family",
		"A node has at most one identity per family, so that everybody agrees by which address it is known. Keep one IPv4 and one IPv6 pool or address.")
	poolOverlap = kind("pool-overlap", "Address ranges overlap",
		"Identity pools must not overlap each other.")
	addressInPool = kind("address-in-pool", "A cable's address lies in an identity pool",
		"Addresses of cables and identities of nodes come from separate ranges; otherwise the planner could give a node an address that a cable already uses.")
	outsidePool = warning("identity-outside-pool", "A fixed identity lies outside its pool",
		"Services are often told the pool as the range of the cluster (Ceph's public_network, firewall rules) and will miss this node.")
	noIdentity = kind("no-identity", "A node without an address",
		"Some nodes have a fixed identity of this family and there is no pool for the others. Add a pool under identity, or give every node an address.")
	noAddresses = kind("no-addresses", "Nothing gives addresses to the cables",
		"A mesh needs identity pools (recommended), or an identity for every node, or two addresses for every cable.")
	optionWithoutShape = kind("topology-option", "An option of another shape",
		"columns belongs to the shape grid, hub to the shape star.")
	oneNode = warning("one-node", "A mesh of one node",
		"There is nothing to cable. The plan will be empty.")
)
