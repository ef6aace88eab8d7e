package render

import "github.com/usb4mesh/usb4mesh/internal/finding"

var (
	unknownNode = finding.Register(finding.Kind{
		Code: "render-unknown-node", Severity: finding.Error,
		Title:   "No such node to render",
		Explain: "Files are rendered for one node of the plan, by its name in the cluster file. Check the spelling; names such as 01 are text.",
	})
	unknownFormat = finding.Register(finding.Kind{
		Code: "render-unknown-format", Severity: finding.Error,
		Title:   "No such format",
		Explain: "The format asked for on the command line, or by the node's key format in the cluster file, is not one that usb4mesh writes. The hint lists those that exist.",
	})
	badSetting = finding.Register(finding.Kind{
		Code: "unwritable-setting", Severity: finding.Error,
		Title: "A setting that can't be written into a file",
		Explain: "Additional settings of a node are copied into systemd files line by line. A section or key is made of letters, digits and a few signs; " +
			"a value is one line, without control characters and without a backslash at its end, which would join it to the next line.",
	})
	badName = finding.Register(finding.Kind{
		Code: "unwritable-name", Severity: finding.Error,
		Title:   "A name that can't be part of a file name",
		Explain: "Names of nodes and interfaces become file names (50-tbt-02.network). They must not be empty, contain a slash or a control character, or be a dot.",
	})
	noPath = finding.Register(finding.Kind{
		Code: "port-without-path", Severity: finding.Warning,
		Title: "A port that no interface can be matched to",
		Explain: "The interface of a cable gets its name by the PCI path of the port (pci-0000:c7:00.5). Without it no .link file is written, the kernel's name " +
			"thunderbolt0 stays, and nothing else of the mesh applies to that cable. Run usb4mesh discover on the node, or udevadm info on the interface, and add the path to the port.",
	})
	sharedPath = finding.Register(finding.Kind{
		Code: "ambiguous-port", Severity: finding.Warning,
		Title: "Two ports behind one PCI path",
		Explain: "udev knows a Thunderbolt interface by its host controller only. Where one controller serves two connectors, both interfaces match the rule for either, and the names may swap. " +
			"Give each port its lane adapter in the cluster file (1 and 3 on Intel); the rule then also looks at the device path.",
	})
)
