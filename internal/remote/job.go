package remote

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// What a job can be.
const (
	Evidence = "evidence" // what the kernel has counted
	Hardware = "hardware" // what the node shows of its USB4
	Serve    = "serve"    // a server that answers tests until it is ended
	Measure  = "measure"  // a client that makes tests
)

// Job is what a node is asked to do. Its values are the only ones that get from the
// network into the arguments of a program.
type Job struct {
	Do     string  `json:"do"`
	Server *Server `json:"server,omitempty"` // of Serve
	Client *Client `json:"client,omitempty"` // of Measure
}

// Server answers tests at addresses of its node, of nodes with other ones.
type Server struct {
	At    []netip.Addr  `json:"at"`
	From  []netip.Addr  `json:"from"`
	Limit time.Duration `json:"limit"` // it ends by itself then
}

// Client makes tests with a server.
type Client struct {
	From     netip.Addr    `json:"from"`
	To       netip.Addr    `json:"to"`
	Port     uint16        `json:"port"`
	Streams  int           `json:"streams"`
	Duration time.Duration `json:"duration"`
	Interval time.Duration `json:"interval"` // between reports
	Latency  time.Duration `json:"latency"`  // 0 measures none
	MTU      int           `json:"mtu"`      // largest packet to try; 0 tries none
}

// Limits of jobs. Streams and Duration are those of the program that does them.
const (
	maxStreams   = 128
	minDuration  = time.Millisecond
	maxDuration  = time.Hour
	maxLatency   = time.Minute
	minInterval  = time.Millisecond
	maxMTU       = 65535
	maxAddresses = 512
	minPort      = 1024
	// MaxSurvey is how long one coordinator may have the agents for itself.
	MaxSurvey = 1000 * time.Hour
	// lookTime is how long reading counters or hardware may take.
	lookTime = 30 * time.Second
)

// check says what is wrong with a job, wherever it is to be done.
func (j Job) check() error {
	if (j.Server != nil) != (j.Do == Serve) || (j.Client != nil) != (j.Do == Measure) {
		return fmt.Errorf("a job %.20q with the settings of another", j.Do)
	}
	switch j.Do {
	case Evidence, Hardware:
		return nil
	case Serve:
		return j.Server.check()
	case Measure:
		return j.Client.check()
	}
	return fmt.Errorf("no job is called %.20q", j.Do)
}

func (s *Server) check() error {
	for _, list := range [][]netip.Addr{s.At, s.From} {
		if len(list) == 0 || len(list) > maxAddresses || slices.ContainsFunc(list, odd) {
			return fmt.Errorf("a server has 1 to %d plain addresses, and as many clients", maxAddresses)
		}
	}
	return within("limit", s.Limit, time.Second, MaxSurvey)
}

func (c *Client) check() error {
	if odd(c.From) || odd(c.To) || c.From.Is4() != c.To.Is4() {
		return errors.New("a client has two plain addresses of one family")
	}
	return errors.Join(
		within("port", c.Port, minPort, 65535),
		within("streams", c.Streams, 1, maxStreams),
		within("duration", c.Duration, minDuration, maxDuration),
		within("interval", c.Interval, minInterval, maxDuration),
		within("latency", c.Latency, 0, maxLatency),
		within("MTU", c.MTU, 0, maxMTU),
	)
}

// odd reports whether an address is none that a plan gives to a node.
func odd(a netip.Addr) bool {
	return !a.IsValid() || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast()
}

func within[T int | uint16 | time.Duration](what string, v, least, most T) error {
	if v < least || v > most {
		return fmt.Errorf("%s must be %v to %v, not %v", what, least, most, v)
	}
	return nil
}

// permitted says why a node must not do a job that is well formed: it serves and
// sends from its own identities only, and has to do with those of other nodes only.
func (j Job) permitted(node string, owner map[netip.Addr]string) error {
	own := func(a netip.Addr) bool { return owner[a] == node }
	another := func(a netip.Addr) bool { return owner[a] != "" && owner[a] != node }
	switch {
	case j.Server != nil:
		for _, a := range j.Server.At {
			if !own(a) {
				return fmt.Errorf("%s is no identity of node %s", a, node)
			}
		}
		for _, a := range j.Server.From {
			if !another(a) {
				return fmt.Errorf("%s is no identity of another node", a)
			}
		}
	case j.Client != nil && !own(j.Client.From):
		return fmt.Errorf("%s is no identity of node %s", j.Client.From, node)
	case j.Client != nil && !another(j.Client.To):
		return fmt.Errorf("%s is no identity of another node", j.Client.To)
	}
	return nil
}

// time is how long a job may take at most.
func (j Job) time() time.Duration {
	switch {
	case j.Server != nil:
		return j.Server.Limit + endGrace
	case j.Client != nil:
		return j.Client.Duration + j.Client.Latency + time.Minute
	}
	return lookTime
}

// Args are the arguments with which this program does the job. Whoever has the job
// done by other means (over ssh, in a lab) uses them too.
func (j Job) Args() []string {
	switch {
	case j.Server != nil:
		s := j.Server
		args := []string{"bench", "server", "--port", "0", "--until-eof", "--json", "--limit", s.Limit.String()}
		for _, a := range s.At {
			args = append(args, "--bind", a.String())
		}
		for _, a := range s.From {
			args = append(args, "--from", a.String())
		}
		return args
	case j.Client != nil:
		c := j.Client
		args := []string{
			"bench", "client", c.To.String(), "--bind", c.From.String(), "--port", strconv.Itoa(int(c.Port)), "--json",
			"--duration", c.Duration.String(), "--streams", strconv.Itoa(c.Streams), "--interval", c.Interval.String(),
		}
		if c.Latency > 0 {
			args = append(args, "--latency", c.Latency.String())
		}
		if c.MTU > 0 {
			args = append(args, "--mtu", strconv.Itoa(c.MTU))
		}
		return args
	case j.Do == Hardware:
		return []string{"discover", "--json"}
	}
	return []string{"bench", "evidence"}
}
