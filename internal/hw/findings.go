package hw

import "github.com/usb4mesh/usb4mesh/internal/finding"

// What reading a machine can stumble over. None of it stops the reading.
var (
	unreadable = finding.Register(finding.Kind{
		Code: "unreadable-attribute", Severity: finding.Info, Title: "Something in /sys or /proc can't be read",
		Explain: "The file is there, but reading it failed, it is longer than such a file can be, or a link leads nowhere. What depends on it is treated as unknown. Some files need root.",
	})
	oddAttribute = finding.Register(finding.Kind{
		Code: "odd-attribute", Severity: finding.Warning, Title: "A value in /sys that no known kernel writes",
		Explain: "The attribute does not have the form that kernels 6.1 to 7.3 give it, so it is treated as unknown. A newer kernel may have changed it, or the tree is no faithful copy. Please report it with the output of `usb4mesh collect`.",
	})
)
