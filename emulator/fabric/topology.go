package fabric

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/usb4mesh/usb4mesh/emulator/identity"
)

// Limits of a topology. They bound what a file can make this process allocate and
// are far above what one machine can boot.
const (
	maxFile   = 1 << 20 // bytes of a topology file
	maxHosts  = 128
	maxNHIs   = 4 // per host
	maxPorts  = 2 // per NHI
	maxCables = 512
	maxName   = 32 // bytes; a socket's path is limited to 108
)

// Topology is what a fabric is made of.
type Topology struct {
	Hosts  []Host  `yaml:"hosts" json:"hosts"`
	Cables []Cable `yaml:"cables" json:"cables"`
}

// Host is one machine with host routers.
type Host struct {
	// Name identifies the host: letters, digits, dots, hyphens and underscores.
	Name string `yaml:"name" json:"name"`
	// Model names the identity: see identity.Models. Empty is "amd".
	Model string `yaml:"model,omitempty" json:"model,omitempty"`
	// NHIs is the number of host interfaces (PCI functions), 0 for the model's own number.
	NHIs int `yaml:"nhis,omitempty" json:"nhis,omitempty"`
	// Ports is the number of USB4 ports of each host interface, 0 for the model's own number.
	Ports int `yaml:"ports,omitempty" json:"ports,omitempty"`
}

// Cable joins two ports. A port is written "host:n", n counting from 1 through all
// ports of the host: first those of the first host interface, then those of the next.
type Cable struct {
	// Name identifies the cable; empty is "A-B" of the two ends, e.g. "a:1-b:2".
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	A    string `yaml:"a" json:"a"`
	B    string `yaml:"b" json:"b"`
	// Lanes that the cable has: 1 or 2, 0 is 2.
	Lanes int `yaml:"lanes,omitempty" json:"lanes,omitempty"`
	// Speed of a lane in Gb/s: 10 or 20, 0 is 20.
	Speed int `yaml:"speed,omitempty" json:"speed,omitempty"`
	// Training is the time from both ends being there until the link is up, 0 is 100 ms.
	Training time.Duration `yaml:"training,omitempty" json:"training,omitempty"`
	// FaultA and FaultB are the faults of the ends from the start, as ParseFault reads them.
	FaultA Fault `yaml:"fault_a,omitempty" json:"fault_a,omitzero"`
	FaultB Fault `yaml:"fault_b,omitempty" json:"fault_b,omitzero"`
	// Unplugged cables are known but lie on the floor until Plug.
	Unplugged bool `yaml:"unplugged,omitempty" json:"unplugged,omitempty"`
}

// ReadTopology reads a file in YAML, of which JSON is a part.
func ReadTopology(path string) (Topology, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Topology{}, err
	}
	if info.Size() > maxFile {
		return Topology{}, fmt.Errorf("%s: %d bytes, at most %d are read", path, info.Size(), maxFile)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return Topology{}, err
	}
	t, err := ParseTopology(src)
	if err != nil {
		return Topology{}, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// ParseTopology reads a topology in YAML or JSON and fills in what is left out.
func ParseTopology(src []byte) (Topology, error) {
	if len(src) > maxFile {
		return Topology{}, fmt.Errorf("%d bytes, at most %d are read", len(src), maxFile)
	}
	var t Topology
	if err := yaml.Load(src, &t, yaml.WithKnownFields()); err != nil {
		return Topology{}, err
	}
	return t.complete()
}

// splitEnd reads "host:n".
func splitEnd(end string) (host string, port int, err error) {
	host, number, ok := strings.Cut(end, ":")
	if ok {
		port, err = strconv.Atoi(number)
	}
	if !ok || err != nil || port < 1 {
		return "", 0, fmt.Errorf("%q: an end of a cable is written host:port, ports counting from 1", end)
	}
	return host, port, nil
}

func goodName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is missing")
	case len(name) > maxName:
		return fmt.Errorf("%.40q: a name has at most %d bytes", name, maxName)
	case strings.HasPrefix(name, "."):
		return fmt.Errorf("%q: a name does not begin with a dot", name)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", r) {
			return fmt.Errorf("%q: a name has letters, digits, dots, hyphens and underscores", name)
		}
	}
	return nil
}

// complete checks the topology and fills in what was left out.
func (t Topology) complete() (Topology, error) {
	if len(t.Hosts) == 0 || len(t.Hosts) > maxHosts || len(t.Cables) > maxCables {
		return Topology{}, fmt.Errorf("%d hosts and %d cables: there must be 1 to %d hosts and at most %d cables", len(t.Hosts), len(t.Cables), maxHosts, maxCables)
	}
	t.Hosts, t.Cables = slices.Clone(t.Hosts), slices.Clone(t.Cables)
	ports := map[string]int{}
	for i := range t.Hosts {
		h := &t.Hosts[i]
		if err := h.complete(); err != nil {
			return Topology{}, fmt.Errorf("host %d: %w", i+1, err)
		}
		if ports[h.Name] > 0 {
			return Topology{}, fmt.Errorf("host %d: %q is there twice", i+1, h.Name)
		}
		ports[h.Name] = h.NHIs * h.Ports
	}
	used, names := map[string]string{}, map[string]bool{}
	for i := range t.Cables {
		c := &t.Cables[i]
		if err := c.complete(ports, used); err != nil {
			return Topology{}, fmt.Errorf("cable %d: %w", i+1, err)
		}
		if names[c.Name] {
			return Topology{}, fmt.Errorf("cable %d: %q is there twice", i+1, c.Name)
		}
		names[c.Name] = true
	}
	return t, nil
}

func (h *Host) complete() error {
	if err := goodName(h.Name); err != nil {
		return err
	}
	m, ok := identity.Lookup(h.Model)
	if !ok {
		return fmt.Errorf("%s: no model %q, there are %s", h.Name, h.Model, strings.Join(identity.Models(), ", "))
	}
	h.Model = m.Name
	if h.NHIs == 0 {
		h.NHIs = len(m.Functions)
	}
	if h.Ports == 0 {
		h.Ports = m.Ports
	}
	if h.NHIs < 1 || h.NHIs > maxNHIs || h.Ports < 1 || h.Ports > maxPorts {
		return fmt.Errorf("%s: %d host interfaces with %d ports: there may be up to %d with up to %d", h.Name, h.NHIs, h.Ports, maxNHIs, maxPorts)
	}
	return nil
}

func (c *Cable) complete(ports map[string]int, used map[string]string) error {
	for _, p := range []*string{&c.A, &c.B} {
		host, port, err := splitEnd(*p)
		if err != nil {
			return err
		}
		*p = fmt.Sprintf("%s:%d", host, port) // there are many ways to write a number
		end := *p
		if port > ports[host] {
			return fmt.Errorf("%q: %s has %d ports", end, host, ports[host])
		}
		if other, ok := used[end]; ok {
			return fmt.Errorf("%q is used by cable %q already", end, other)
		}
		used[end] = c.A + "-" + c.B
	}
	if c.Name == "" {
		c.Name = c.A + "-" + c.B
	}
	if len(c.Name) > 2*maxName+8 {
		return fmt.Errorf("%.40q: the name is too long", c.Name)
	}
	if c.Lanes == 0 {
		c.Lanes = 2
	}
	if c.Speed == 0 {
		c.Speed = 20
	}
	if c.Training == 0 {
		c.Training = 100 * time.Millisecond
	}
	for _, f := range []Fault{c.FaultA, c.FaultB} {
		if err := f.check(); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	switch {
	case c.Lanes < 1 || c.Lanes > 2:
		return fmt.Errorf("%s: %d lanes, there are 1 and 2", c.Name, c.Lanes)
	case c.Speed != 10 && c.Speed != 20:
		return fmt.Errorf("%s: %d Gb/s a lane, there are 10 and 20", c.Name, c.Speed)
	case c.Training < 0 || c.Training > time.Minute:
		return fmt.Errorf("%s: training takes %v, it may take up to a minute", c.Name, c.Training)
	}
	return nil
}
