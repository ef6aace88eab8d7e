package packet

import "fmt"

// String is the packet in words.
func (p Packet) String() string { return fmt.Sprintf("pdf %d %08x", p.PDF, p.Words) }
