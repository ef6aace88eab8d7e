package tune

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/usb4mesh/usb4mesh/internal/mesh"
)

// Placement returns which CPUs should serve the interrupts of the machine's USB4
// controllers: of those that may now, the ones that are not of the slower kind. It
// stays the same once they do. An interrupt that only slow ones may serve is left
// out; so is everything on a machine whose CPUs are all alike.
//
// Whoever else spreads interrupts, as irqbalance does, may move them again.
func Placement(hw mesh.Hardware) map[int]string {
	slow, err := parseCPUs(hw.Host.EfficiencyCPUs)
	if err != nil || len(slow) == 0 {
		return nil
	}
	place := map[int]string{}
	for _, c := range hw.Controllers {
		for _, i := range c.Interrupts {
			now, err := parseCPUs(i.CPUs)
			if err != nil {
				continue
			}
			fast := slices.DeleteFunc(slices.Clone(now), func(cpu int) bool { return slices.Contains(slow, cpu) })
			if len(fast) > 0 {
				place[i.Number] = formatCPUs(fast)
			}
		}
	}
	return place
}

// maxCPU is above the largest NR_CPUS of any distribution (8192).
const maxCPU = 1 << 14

// parseCPUs reads a list of CPUs as the kernel writes it: 0-3,8,10-11.
func parseCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		if part == "" {
			continue
		}
		first, last, span := strings.Cut(part, "-")
		a, err := strconv.Atoi(first)
		b := a
		if err == nil && span {
			b, err = strconv.Atoi(last)
		}
		if err != nil || a < 0 || b < a || b >= maxCPU {
			return nil, fmt.Errorf("%q is no list of CPUs", list)
		}
		for ; a <= b; a++ {
			cpus = append(cpus, a)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

func formatCPUs(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func latencyBytes(latency int) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(min(latency, 1<<31-1)))
}
