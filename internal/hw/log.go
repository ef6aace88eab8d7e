package hw

import (
	"fmt"
	"strconv"
	"strings"
)

// logLimit bounds the lines that are kept, the newest.
const logLimit = 400

// logWords mark the lines of the kernel log that are about USB4 links. "USB4 _OSC"
// is ACPI telling what the firmware lets the kernel do (drivers/acpi/bus.c).
var logWords = []string{"thunderbolt", "ThunderboltIP", "USB4 _OSC", "failed request link state change", "host router"}

// logLines picks the lines about USB4 out of a kernel log: text of dmesg, with or
// without time stamps, or of Talos, whose lines have a head and tail lines.
func logLines(text string) []string {
	lines := []string{}
	for line := range strings.Lines(text) {
		line = Clean(line)
		if len(line) > attributeLimit {
			line = line[:attributeLimit]
		}
		for _, w := range logWords {
			if strings.Contains(line, w) && !strings.HasPrefix(line, "SUBSYSTEM=") && !strings.HasPrefix(line, "DEVICE=") {
				lines = append(lines, line)
				break
			}
		}
	}
	return lines[max(0, len(lines)-logLimit):]
}

// kmsgText returns a record of /dev/kmsg as dmesg shows it: of
// "6,339,5140900,-;text\n KEY=value\n" (Documentation/ABI/testing/dev-kmsg) it is
// "[    5.140900] text".
func kmsgText(record string) string {
	head, text, ok := strings.Cut(record, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 4 {
		return ""
	}
	text, _, _ = strings.Cut(text, "\n")
	if µs, err := strconv.ParseUint(fields[2], 10, 64); err == nil {
		text = fmt.Sprintf("[%5d.%06d] %s", µs/1e6, µs%1e6, text)
	}
	return text
}
